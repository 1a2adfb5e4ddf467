"""What cannot be trained is refused before anything is written, and what cannot be learned is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import Recorder, WriteData, run

from semiseg import methods
from semiseg.console import Quiet
from semiseg.csv_files import read_csv
from semiseg.data.manifest import PreparedData, write_manifest
from semiseg.errors import UserError
from semiseg.testing.data import small_settings, write_volumes
from semiseg.workflows.train import train


@pytest.mark.parametrize(
    ("method", "more", "options", "message"),
    [
        ("mcsc", ["mcsc.labelled_contrast_until=6"], {}, "'contrast on unlabelled images'.* 6"),
        ("cross-teaching", ["cross-teaching.consistency_from=9"], {}, "'cross' .* iteration 9"),
        ("mcsc", ["training.labelled_batch_size=4"], {}, r"training\.batch_size"),
        ("supervised", [], {"labelled": "9"}, "at most 4"),
        ("mcsc", [], {"labelled": "5"}, "at most 4"),
        ("mcsc", ["data.size=40"], {}, r"side of 40 pixels .* 32 or 64"),
        ("mcsc", ["data.size=48"], {}, r"side of 48 pixels .* 32 or 64"),
        ("mcsk", [], {}, "did you mean 'mcsc'"),
        ("mcsc", ["mcsc.temprature=1"], {}, r"mcsc\.temperature"),
        ("supervised", ["training.iterations=0"], {}, r"iterations"),
        ("supervised", ["training.precision=16-mixed"], {}, r"training\.precision"),
        ("mcsc", ["swin.pretrained=absent.pth"], {}, r"absent\.pth"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    small_data: PreparedData, tmp_path: Path, method: str, more: list[str], options: dict[str, Any],
    message: str,
) -> None:  # fmt: skip
    with pytest.raises(UserError, match=message):
        run(small_data, tmp_path / "run", method, *more, **options)
    assert not (tmp_path / "run").exists()


def test_a_method_without_unlabelled_images_is_refused(
    write_data: WriteData, tmp_path: Path
) -> None:
    data = write_data(tmp_path / "data")
    split = data.manifest.split.model_copy(update={"train": ("p1", "p2")})
    split = split.model_copy(update={"labelled_order": None})
    write_manifest(data.folder, data.manifest.model_copy(update={"split": split}))
    with pytest.raises(UserError, match=r"mcsc needs unlabelled images.*--method supervised"):
        run(data, tmp_path / "run", "mcsc")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_something_is_left_alone(
    small_data: PreparedData, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="run exists"):
        run(small_data, out, "supervised")
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_of_volumes_on_a_cpu_is_refused(tmp_path: Path, precision: str) -> None:
    data = write_volumes(tmp_path / "data")
    settings = [*small_settings("supervised", 3), f"training.precision={precision}"]
    with pytest.raises(UserError, match="wrong gradients for volumes on a CPU"):
        train(data.folder, tmp_path / "run", method="supervised", labelled="2",
              settings=settings, device="cpu", console=Quiet())  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_class_that_no_labelled_case_shows_is_named(
    write_data: WriteData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(tmp_path / "data")
    for patient in ("p1", "p2"):
        file = data.folder / "labels" / f"{patient}.npy"
        label = np.load(file)
        np.save(file, np.where(label == 2, 0, label))
    flat = [name for name, entry in methods.table().items() if 2 in entry.dimensions]
    for number, method in enumerate(flat):
        out = tmp_path / str(number)
        settings = [*small_settings(method), "training.iterations=2"]
        train(data.folder, out, method=method, labelled="2", settings=settings)
        said = capsys.readouterr()
        assert "no labelled case contains square" in " ".join((said.out + said.err).split())
        losses = [float(row["loss"]) for row in read_csv(out / "metrics.csv")]
        assert np.isfinite(losses).all()


def test_labels_of_background_alone_are_refused(write_data: WriteData, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    for patient in ("p1", "p2"):
        np.save(data.folder / "labels" / f"{patient}.npy", np.zeros((2, 36, 32), np.uint8))
    with pytest.raises(UserError, match="contain only background"):
        run(data, tmp_path / "run", "supervised")
    assert not (tmp_path / "run").exists()


def test_a_dry_run_writes_nothing(small_data: PreparedData, tmp_path: Path) -> None:
    console = Recorder()
    run(small_data, tmp_path / "run", "mcsc", console=console, dry_run=True)
    assert not (tmp_path / "run").exists()
    assert any("6 iterations" in sentence for sentence in console.said)
