"""Checkpoints after a crash, and errors for damaged weights."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from semiseg.errors import UserError
from semiseg.torch_files import DamagedError
from semiseg.training.checkpoints import (
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)


def state(step: int) -> dict[str, Any]:
    return {"progress": {"done": step}, "weights": torch.full((500,), float(step))}


def load(folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The state of the newest checkpoint that is whole and belongs to its step."""

    def restore(state: dict[str, Any], step: int) -> dict[str, Any]:
        if state["progress"]["done"] != step:
            raise DamagedError
        return state

    return load_checkpoint(folder, say, restore)


def cut(path: Path, to: float = 0.5) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * to)])


def test_the_newest_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    for step in (2, 4, 10, 12):
        save_checkpoint(tmp_path, step, state(step))
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["step-0000010.pt", "step-0000012.pt"]
    said: list[str] = []
    loaded = load(tmp_path, said.append)
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
    loaded = load(tmp_path, said.append)
    assert loaded is not None
    assert loaded["progress"]["done"] == 10
    assert len(said) == 1
    assert "step-0000012.pt" in said[0]


def test_nothing_readable_is_none(tmp_path: Path) -> None:
    said: list[str] = []
    assert load(tmp_path / "absent", said.append) is None
    save_checkpoint(tmp_path, 3, state(3))
    cut(tmp_path / "step-0000003.pt")
    assert load(tmp_path, said.append) is None
    assert len(said) == 1


def test_a_new_path_replaces_the_later_checkpoints_of_the_one_that_was_left(tmp_path: Path) -> None:
    for step in (10, 12):
        save_checkpoint(tmp_path, step, state(step))
        cut(tmp_path / f"step-{step:07d}.pt")
    assert load(tmp_path, lambda text: None) is None
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, state(step))
        loaded = load(tmp_path, lambda text: None)
        assert loaded is not None
        assert loaded["progress"]["done"] == step
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["step-0000002.pt", "step-0000003.pt"]


def test_the_content_of_another_step_is_damaged(tmp_path: Path) -> None:
    for step in (10, 12):
        save_checkpoint(tmp_path, step, state(step))
    (tmp_path / "step-0000012.pt").write_bytes((tmp_path / "step-0000010.pt").read_bytes())
    said: list[str] = []
    loaded = load(tmp_path, said.append)
    assert loaded is not None
    assert said == ["step-0000012.pt is truncated or damaged: using the previous checkpoint."]


def test_one_that_does_not_fit_is_skipped_but_never_leads_to_a_new_beginning(
    tmp_path: Path,
) -> None:
    for step in (10, 12):
        save_checkpoint(tmp_path, step, state(step))
    save_checkpoint(tmp_path, 12, {})
    said: list[str] = []
    loaded = load(tmp_path, said.append)
    assert loaded is not None
    assert loaded["progress"]["done"] == 10
    assert "step-0000012.pt does not fit the run's config.yaml: using the previous" in said[0]
    cut(tmp_path / "step-0000010.pt")
    with pytest.raises(UserError, match=r"do not fit the run's config\.yaml"):
        load(tmp_path, said.append)


@pytest.mark.parametrize(
    "error", [MemoryError(), PermissionError(errno.EACCES, "Permission denied")]
)
def test_one_that_cannot_be_read_now_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save_checkpoint(tmp_path, 3, state(3))

    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    if isinstance(error, MemoryError):
        monkeypatch.setattr(torch, "load", fail)
        with pytest.raises(MemoryError):
            load(tmp_path, print)
    else:
        monkeypatch.setattr(Path, "open", fail)
        with pytest.raises(UserError, match=r"step-0000003\.pt cannot be read \(Permission denied"):
            load(tmp_path, print)


def test_a_folder_in_the_place_of_a_checkpoint_is_named_and_not_deleted(tmp_path: Path) -> None:
    for step in (1, 4):
        (tmp_path / f"step-{step:07d}.pt").mkdir()
    for step in (2, 3):
        save_checkpoint(tmp_path, step, state(step))
    loaded = load(tmp_path, lambda text: None)
    assert loaded is not None
    with pytest.raises(UserError, match=r"step-0000004\.pt is a folder, not a file: move it"):
        save_checkpoint(tmp_path, 4, state(4))
    assert len(os.listdir(tmp_path)) == 4


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
