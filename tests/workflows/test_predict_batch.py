"""One image never ends a prediction, and unusual images are named."""

import errno
from pathlib import Path

import numpy as np
import pytest

import replicas
from consoles import Listening
from semiseg.csv_files import read_csv
from semiseg.inference.predictor import Predictor
from semiseg.workflows.predict import predict
from semiseg.workflows.prediction_table import Prediction, PredictionTable
from semiseg.workflows.prepare import prepare
from semiseg.workflows.train import train

SETTINGS = (
    "data.size=32", "unet.channels=[4,4,4,4,4]", "training.iterations=2", "training.batch_size=2",
    "training.labelled_batch_size=2",
)  # fmt: skip


def scan(number: int, contrast: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(number)
    image = rng.normal(100, 10, (32, 32, 3))
    image[10:20, 10:20] += 200
    return (contrast * image).astype(np.int16)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    for number in range(12):
        label = np.zeros((32, 32, 3), np.uint8)
        label[10:20, 10:20] = 1
        replicas.save(folder / f"set/images/p{number}.nii.gz", scan(number))
        replicas.save(folder / f"set/labels/p{number}.nii.gz", label)
    prepare(folder / "set", folder / "data", console=Listening())
    train(
        folder / "data", folder / "run", method="supervised", settings=SETTINGS, console=Listening()
    )
    return folder / "run"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(3):
        replicas.save(
            tmp_path / f"new/n{number}.nii.gz", scan(20 + number, contrast=(1, 1, -1)[number])
        )
    return tmp_path / "new"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
        ),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=["numpy", "torch", "system"],
)
def test_a_lack_of_memory_skips_one_image(
    run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    calls: list[int] = []
    whole = Predictor.segment

    def segment(self: Predictor, *args: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise error
        return whole(self, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "segment", segment)
    listener = Listening()
    result = predict(run, [images], tmp_path / "out", console=listener)
    assert result.written == 2
    assert result.failed == (f"{images}/n1.nii.gz: not enough memory (CPU or GPU) to predict it.",)
    assert sorted(p.name for p in (tmp_path / "out").glob("*.nii.gz")) == ["n0.nii.gz", "n2.nii.gz"]
    # the next call predicts it
    again = predict(run, [images], tmp_path / "out", console=listener)
    assert (again.written, again.skipped, again.failed) == (1, 2, ())
    assert len(read_csv(tmp_path / "out" / "predictions.csv")) == 3


def test_a_mask_without_a_row_is_predicted_again(
    run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was killed between the mask and its row."""

    def killed(self: PredictionTable, row: Prediction) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(PredictionTable, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            predict(run, [images], out, console=Listening())
    assert [path.name for path in out.glob("*.nii.gz")] == ["n0.nii.gz"]
    again = predict(run, [images], out, console=Listening())
    assert (again.written, again.skipped) == (3, 0)
    assert {row["mask"] for row in read_csv(out / "predictions.csv")} == {
        f"n{number}.nii.gz" for number in range(3)
    }
    assert predict(run, [images], out, console=Listening()).skipped == 3
    (out / "predictions.csv").unlink()  # without a table, all masks stay
    assert predict(run, [images], out, console=Listening()).skipped == 3


def test_a_fault_of_ours_is_not_hidden(
    run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def segment(self: Predictor, *args: object, **named: object) -> object:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Predictor, "segment", segment)
    with pytest.raises(RuntimeError, match="a bug"):
        predict(run, [images], tmp_path / "out", console=Listening())


def test_an_unusual_image_is_named(run: Path, images: Path, tmp_path: Path) -> None:
    listener = Listening()
    predict(run, [images], tmp_path / "out", console=listener)
    (warning,) = [text for text in listener.said if "unlike the training images" in text]
    assert warning.startswith("1 image unlike the training images in intensity, for example ")
    assert f"{images}/n2.nii.gz" in warning
    rows = {row["mask"]: row for row in read_csv(tmp_path / "out" / "predictions.csv")}
    assert rows["n0.nii.gz"]["remarks"] == rows["n1.nii.gz"]["remarks"] == ""
    assert rows["n2.nii.gz"]["remarks"].startswith("intensity: ")
    assert listener.said[-1] == f"least certain first: {tmp_path / 'out' / 'predictions.csv'}"
