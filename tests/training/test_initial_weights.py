"""Initial weights from another run."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.testing.data import small_settings
from semiseg.workflows.train import resume, train

WORDS = {"labelled": "2", "console": Quiet(), "threads": 1}
STILL = ("training.iterations=1", "training.learning_rate=1e-12", "training.weight_decay=0")


@pytest.fixture(scope="module")
def first(small_data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("first") / "run"
    train(
        small_data.folder, out, method="supervised", settings=small_settings("supervised"), **WORDS
    )  # type: ignore[arg-type]
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(str(run / "weights" / "best.safetensors"))


@pytest.mark.parametrize("method", ["supervised", "plgcl", "cross-teaching"])
def test_networks_of_the_same_kind_start_from_it(
    small_data: PreparedData, tmp_path: Path, first: Path, method: str
) -> None:
    settings = [*small_settings(method), *STILL, f"training.weights_from={first}"]
    train(small_data.folder, tmp_path / "run", method=method, settings=settings, **WORDS)  # type: ignore[arg-type]
    given = {k.removeprefix("unet."): v for k, v in weights(first).items()}
    found = weights(tmp_path / "run")
    of = {"plgcl": ("student", "teacher")}.get(method, ("unet",))
    for name in of:
        for key, value in given.items():
            if value.is_floating_point() and "running" not in key:
                torch.testing.assert_close(found[f"{name}.{key}"], value, rtol=0, atol=1e-9)
    notes = (tmp_path / "run" / "run.json").read_text()
    assert f"loaded from {first}" in notes


def test_a_resumed_training_does_not_need_it(
    small_data: PreparedData, tmp_path: Path, first: Path
) -> None:
    other = tmp_path / "other"
    train(
        small_data.folder,
        other,
        method="supervised",
        settings=small_settings("supervised"),
        **WORDS,
    )  # type: ignore[arg-type]
    out = tmp_path / "run"
    settings = [*small_settings("supervised"), f"training.weights_from={other}"]
    train(small_data.folder, out, method="supervised", settings=settings, seconds=0, **WORDS)  # type: ignore[arg-type]
    (other / "weights" / "best.safetensors").unlink()
    assert resume(out, console=Quiet()).finished


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["training.weights_from=nowhere"], r"weights_from: .*nowhere has no weights"),
        (
            ["training.weights_from=FIRST", "unet.channels=[4, 4, 4, 4, 4]"],
            "no tensor of .* has a name",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    small_data: PreparedData, tmp_path: Path, first: Path, settings: list[str], words: str
) -> None:
    given = [*small_settings("supervised"), *(s.replace("FIRST", str(first)) for s in settings)]
    with pytest.raises(UserError, match=words):
        train(small_data.folder, tmp_path / "run", method="supervised", settings=given, **WORDS)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
