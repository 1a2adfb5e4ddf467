"""The loop end to end: its files, weights, seeds and precision."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from small_runs import Recorder, WriteData, last, run, same
from torch import Tensor

from semiseg import methods
from semiseg.csv_files import read_csv
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData, write_manifest
from semiseg.methods.base import Method, Step
from semiseg.training import loop
from semiseg.training.run_folder import RunFolder


def test_the_bar_shows_the_loss_and_the_score_as_they_come(
    small_data: PreparedData, tmp_path: Path
) -> None:
    console = Recorder()
    more = ("training.iterations=3", "training.validate_every=2", "training.log_every=3")
    run(small_data, tmp_path / "run", "supervised", *more, console=console)
    patterns = ["", r"best Dice \d\.\d{3}", r"loss \d\.\d{3}, best Dice \d\.\d{3}"]
    for note, pattern in zip(console.notes[:3], patterns, strict=True):
        assert re.fullmatch(pattern, note)


def test_a_run_explains_itself(small_data: PreparedData, finished: Path) -> None:
    folder = RunFolder(finished)
    assert folder.config().training.iterations == 6
    assert folder.task() == small_data.task
    assert folder.split().labelled == ("p1", "p2")
    assert folder.facts().origins["data.size"] == "--set"
    rows = read_csv(finished / "metrics.csv")
    assert [row["step"] for row in rows] == [str(i) for i in range(1, 7)]
    for row in rows:
        terms = [
            float(row[f"{kind}_{n}"]) for kind in ("supervised", "cross") for n in ("unet", "swin")
        ]
        assert float(row["loss"]) == pytest.approx(sum(terms), rel=1e-4)
    assert not list((finished).glob("checkpoints/*"))
    assert not list(finished.rglob(".partial*"))


def test_the_best_weights_are_those_of_the_best_validation(finished: Path) -> None:
    rows = read_csv(finished / "validation.csv")
    assert [row["step"] for row in rows] == ["3", "6"]
    best = max(rows, key=lambda row: float(row["dice"]))
    with safe_open(str(finished / "weights" / "best.safetensors"), framework="pt") as file:
        facts = file.metadata()
    assert facts["step"] == best["step"]
    assert float(facts["validation_dice"]) == pytest.approx(float(best["dice"]), rel=1e-4)
    ended = RunFolder(finished).finished()
    assert ended is not None
    assert str(ended.best_step) == best["step"]


def test_the_highest_validation_dice_chooses_the_best_weights(
    small_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.3, 0.6, 0.5])
    monkeypatch.setattr(loop, "validation_dice", lambda *_: {"dice": next(scores)})
    result = run(small_data, tmp_path / "run", "supervised", "training.validate_every=2")
    assert result is not None
    assert (result.best_dice, result.best_step) == (0.6, 4)
    best = tmp_path / "run" / "weights" / "best.safetensors"
    with safe_open(str(best), framework="pt") as file:
        assert file.metadata()["step"] == "4"
    assert not same(load_file(str(best)), last(tmp_path / "run"))


def test_networks_train_in_training_mode_after_a_validation(
    small_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[bool] = []
    plain = methods.entry("supervised").load().forward

    def forward(self: Method, batch: Batch, step: Step) -> dict[str, Tensor]:
        modes.append(all(module.training for module in self.modules()))
        return plain(self, batch, step)

    monkeypatch.setattr(methods.entry("supervised").load(), "forward", forward)
    run(small_data, tmp_path / "run", "supervised", "training.validate_every=1")
    assert modes == [True] * 6


def test_few_labels_take_the_last_checkpoint(write_data: WriteData, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    split = data.manifest.split.model_copy(update={"validation": ()})
    write_manifest(data.folder, data.manifest.model_copy(update={"split": split}))
    console = Recorder()
    result = run(data, tmp_path / "run", "supervised", console=console)
    assert result is not None
    assert result.best_dice is None
    assert result.best_step == 6
    assert any("the last checkpoint is used" in sentence for sentence in console.said)
    weights = tmp_path / "run" / "weights"
    assert same(
        load_file(str(weights / "best.safetensors")), load_file(str(weights / "last.safetensors"))
    )


@pytest.mark.parametrize("absent", [(2,), (1, 2)], ids=["square", "all"])
def test_a_class_that_no_validation_case_shows(
    write_data: WriteData, tmp_path: Path, absent: tuple[int, ...]
) -> None:
    data = write_data(tmp_path / "data")
    for patient in data.manifest.split.validation:
        file = data.folder / "labels" / f"{patient}.npy"
        label = np.load(file)
        np.save(file, np.where(np.isin(label, absent), 0, label))
    console = Recorder()
    result = run(data, tmp_path / "run", "supervised", console=console)
    assert result is not None
    said = " ".join(console.said)
    rows = read_csv(tmp_path / "run" / "validation.csv")
    if absent == (2,):  # not a zero in the mean
        assert "no validation case contains square: the checkpoint is chosen by the other" in said
        assert [row["dice"] for row in rows] == [row["disc"] for row in rows]
        assert result.best_dice is not None
        return
    assert "no validation case contains a structure: the last checkpoint is used" in said
    assert (result.best_dice, result.best_step) == (None, 6)
    weights = tmp_path / "run" / "weights"
    assert same(
        load_file(str(weights / "best.safetensors")), load_file(str(weights / "last.safetensors"))
    )


def test_mixed_precision_trains(small_data: PreparedData, tmp_path: Path) -> None:
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        out = tmp_path / precision
        run(small_data, out, "mcsc", f"training.precision={precision}", "training.iterations=2",
            "training.clip_gradients=1")  # fmt: skip
        losses.append([float(row["loss"]) for row in read_csv(out / "metrics.csv")])
        assert all(t.isfinite().all() for t in last(out).values())
        assert all(t.dtype in (torch.float32, torch.int64) for t in last(out).values())
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0] != losses[1]


def test_another_seed_is_another_run(small_data: PreparedData, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(
            small_data,
            tmp_path / name,
            "supervised",
            f"training.seed={seed}",
            "training.iterations=2",
        )
    assert same(last(tmp_path / "a"), last(tmp_path / "b"))
    assert not same(last(tmp_path / "a"), last(tmp_path / "c"))


def test_poisoned_test_patients_change_nothing(
    small_data: PreparedData, write_data: WriteData, tmp_path: Path
) -> None:
    """A training uses neither labels of unlabelled cases nor those of the test part."""
    other = write_data(tmp_path / "data")
    for patient in ("p3", "p4", "p7", "p8"):
        np.save(other.folder / "labels" / f"{patient}.npy", np.ones((2, 36, 32), np.uint8))
    for name, data in (("a", small_data), ("b", other)):
        run(data, tmp_path / name, "cross-teaching", "training.iterations=2")
    assert same(last(tmp_path / "a"), last(tmp_path / "b"))
