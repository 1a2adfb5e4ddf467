"""``self-training`` on labelled images alone: without weight, or on data without unlabelled images."""

from pathlib import Path

import pytest
import torch
from small_runs import Recorder, StoppedError, WriteData, last, run, same

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.console import Quiet
from semiseg.csv_files import read_csv
from semiseg.data.batch import Batch
from semiseg.data.loader import BatchLoader
from semiseg.data.manifest import PreparedData, write_manifest
from semiseg.methods.self_training import SelfTraining
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config
from semiseg.training.loop import batch_counts
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.train import resume

LABELS_ALONE = "self-training.pseudo_weight=0"


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The labelled and unlabelled images of each batch that is loaded."""
    found: list[tuple[int, int]] = []
    load = BatchLoader.__call__

    def counting(self: BatchLoader, step: int) -> Batch:
        batch = load(self, step)
        found.append((batch.labelled, batch.unlabelled))
        return batch

    monkeypatch.setattr(BatchLoader, "__call__", counting)
    return found


def all_labelled(data: PreparedData) -> PreparedData:
    """The data with the first two patients as the training part, which are labelled."""
    split = data.manifest.split.model_copy(update={"train": ("p1", "p2"), "labelled_order": None})
    write_manifest(data.folder, data.manifest.model_copy(update={"split": split}))
    return PreparedData(data.folder)


def config_of(data: PreparedData, *more: str) -> RunConfig:
    given = [*small_settings("self-training"), *more]
    return resolve_config(data.manifest, "self-training", None, given).config


@pytest.mark.parametrize(
    ("settings", "with_unlabelled", "without"),
    [
        ([], (2, 2), (4, 0)),
        (["batch=labelled"], (2, 2), (2, 0)),
        (["pseudo_weight=0"], (2, 0), (4, 0)),
        (["pseudo_weight=0", "batch=whole"], (4, 0), (4, 0)),
        (["pseudo_weight=0", "batch=labelled"], (2, 0), (2, 0)),
    ],
)
def test_the_images_of_a_batch(
    small_data: PreparedData, settings: list[str], with_unlabelled: tuple[int, int],
    without: tuple[int, int],
) -> None:  # fmt: skip
    config = config_of(small_data, *(f"self-training.{setting}" for setting in settings))
    method = methods.entry("self-training").load()(small_data.task, config)
    assert batch_counts(method, config) == with_unlabelled
    assert batch_counts(method, config, unlabelled=False) == without
    assert method.reads_unlabelled(config) == (with_unlabelled[1] > 0)


def test_without_weight_no_unlabelled_image_is_read_or_passed_through_a_network(
    write_data: WriteData, tmp_path: Path, counts: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    data = write_data(tmp_path / "data")
    run(data, tmp_path / "whole", "self-training", LABELS_ALONE)
    assert counts == [(2, 0)] * 6
    for patient in ("p3", "p4", "p5", "p6"):
        (data.folder / "images" / f"{patient}.npy").unlink()

    def teach(*_: object) -> torch.Tensor:
        raise AssertionError

    monkeypatch.setattr(SelfTraining, "target", teach)
    console = Recorder()
    run(data, tmp_path / "bare", "self-training", LABELS_ALONE, console=console)
    assert same(last(tmp_path / "bare"), last(tmp_path / "whole"))
    assert "(not used by self-training)" in "\n".join(console.said)
    rows = read_csv(tmp_path / "bare" / "metrics.csv")
    assert "supervised" in rows[0]
    assert "pseudo" not in rows[0]


def test_data_without_unlabelled_images_fill_the_batch_with_labelled_ones(
    write_data: WriteData, tmp_path: Path, counts: list[tuple[int, int]]
) -> None:
    data, console = all_labelled(write_data(tmp_path / "data")), Recorder()
    # a late start of pseudo-labels, and a batch of labelled images alone, are of no importance
    late = ("self-training.starts_at=900", "training.labelled_batch_size=4")
    for name, more in (("run", ()), ("late", late)):
        run(data, tmp_path / name, "self-training", *more, console=console)
    assert counts == [(4, 0)] * 12
    assert "none (self-training trains on labelled images alone)" in "\n".join(console.said)
    assert same(last(tmp_path / "run"), last(tmp_path / "late"))
    assert RunFolder(tmp_path / "run").finished()


def test_it_is_supervised_training_whose_moving_average_predicts(
    write_data: WriteData, tmp_path: Path
) -> None:
    data = all_labelled(write_data(tmp_path / "data"))
    run(data, tmp_path / "mean", "self-training")
    run(data, tmp_path / "plain", "supervised")
    mean, plain = last(tmp_path / "mean"), last(tmp_path / "plain")
    students = {f"unet.{n.removeprefix('student.')}": x for n, x in mean.items() if "student" in n}
    assert same(students, plain)
    teachers = {f"unet.{n.removeprefix('teacher.')}": x for n, x in mean.items() if "teacher" in n}
    assert not same(teachers, plain)


def test_an_interrupted_training_is_resumed_with_the_same_batches(
    write_data: WriteData, tmp_path: Path
) -> None:
    data = all_labelled(write_data(tmp_path / "data"))
    run(data, tmp_path / "whole", "self-training")
    with pytest.raises(StoppedError):
        run(data, tmp_path / "parts", "self-training", console=Recorder(stop_after=3))
    resume(tmp_path / "parts", console=Quiet())
    assert same(last(tmp_path / "parts"), last(tmp_path / "whole"))
