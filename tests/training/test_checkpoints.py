"""Checkpoints after a crash, and errors for damaged weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from semiseg.errors import UserError
from semiseg.training.checkpoints import (
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)


def state(step: int) -> dict[str, Any]:
    return {"progress": {"done": step}, "weights": torch.full((500,), float(step))}


def cut(path: Path, to: float = 0.5) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * to)])


def test_the_newest_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    for step in (2, 4, 10, 12):
        save_checkpoint(tmp_path, step, state(step))
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["step-0000010.pt", "step-0000012.pt"]
    said: list[str] = []
    loaded = load_checkpoint(tmp_path, said.append)
    assert loaded is not None
    assert loaded["progress"]["done"] == 12
    assert (loaded["weights"] == 12).all()
    assert said == []


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_one_falls_back_to_the_one_before_and_says_so(
    tmp_path: Path, part: float
) -> None:
    for step in (10, 12):
        save_checkpoint(tmp_path, step, state(step))
    cut(tmp_path / "step-0000012.pt", part)
    said: list[str] = []
    loaded = load_checkpoint(tmp_path, said.append)
    assert loaded is not None
    assert loaded["progress"]["done"] == 10
    assert len(said) == 1
    assert "step-0000012.pt" in said[0]


def test_nothing_readable_is_none(tmp_path: Path) -> None:
    said: list[str] = []
    assert load_checkpoint(tmp_path / "absent", said.append) is None
    save_checkpoint(tmp_path, 3, state(3))
    cut(tmp_path / "step-0000003.pt")
    assert load_checkpoint(tmp_path, said.append) is None
    assert len(said) == 1


def test_a_crash_while_writing_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, 5, state(5))

    def full(content: Any, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"step-0000006\.pt could not be written.*--resume"):
        save_checkpoint(tmp_path, 6, state(6))
    assert [p.name for p in tmp_path.iterdir()] == ["step-0000005.pt"]


def test_weights_come_back_with_their_facts(tmp_path: Path) -> None:
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save_weights(tmp_path / "w" / "best.safetensors", one, {"step": 7, "validation_dice": 0.5})
    assert load_weights(tmp_path / "w" / "best.safetensors", other) == {
        "step": "7", "validation_dice": "0.5"
    }  # fmt: skip
    assert torch.equal(one.weight, other.weight)
    assert [p.name for p in (tmp_path / "w").iterdir()] == ["best.safetensors"]


def test_wrong_weights_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    network = nn.Linear(3, 2)
    with pytest.raises(UserError, match=r"best\.safetensors does not exist"):
        load_weights(path, network)
    save_weights(path, network, {})
    with pytest.raises(UserError, match=r"best\.safetensors does not fit"):
        load_weights(path, nn.Linear(3, 4))
    for part in (0.8, 0.3, 0.0):
        cut(path, part)
        with pytest.raises(UserError, match=r"best\.safetensors is truncated"):
            load_weights(path, network)
