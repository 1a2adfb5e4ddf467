"""Masks that semiseg wrote are read as labels with the options of the data, whatever their values."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import replicas
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.datasets.naming import read_naming
from semiseg.workflows.compare import compare
from semiseg.workflows.predict import predict
from semiseg.workflows.prepare import prepare
from semiseg.workflows.train import train

SETTINGS = (
    "data.size=32", "unet.channels=[4,8,8,8,8]", "training.iterations=60", "training.batch_size=4",
    "training.labelled_batch_size=4", "training.learning_rate=0.01", "training.optimiser=adamw",
)  # fmt: skip
COLOURS = np.array([(0, 0, 0), (250, 50, 83), (51, 221, 255)], np.uint8)


def codes_of(number: int) -> np.ndarray:
    """Two squares, of the classes 1 and 2."""
    rng = np.random.default_rng(number)
    codes = np.zeros((32, 32), np.uint8)
    for code in (1, 2):
        row, column = rng.integers(1, 9, 2)
        codes[row : row + 12, 16 * (code - 1) + column % 4 : 16 * (code - 1) + 12] = code
    return codes


def write(folder: Path, number: int, mask: np.ndarray | None, volumes: bool) -> None:
    image = np.array([40, 120, 220])[codes_of(number)].astype(np.uint8)
    if volumes:
        replicas.save(
            folder / f"images/p{number}.nii.gz", np.stack([image] * 3, -1).astype(np.int16)
        )
        if mask is not None:
            replicas.save(folder / f"labels/p{number}.nii.gz", np.stack([mask] * 3, -1))
        return
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / f"images/p{number}.png")
    if mask is not None:
        Image.fromarray(mask).save(folder / f"labels/p{number}.png")


@pytest.mark.parametrize(
    ("values", "classes", "volumes"),
    [
        ((0, 127, 254), ("127=a", "254=b"), False),
        ((0, 2, 1), ("2=a", "1=b"), False),  # own codes in another order
        ((0, 2, 7), ("2=a", "7=b"), True),
        ("colours", ("#fa3253=a", "#33ddff=b"), False),
        ("colours", None, False),
        ((0, 1, 2), None, False),
    ],
    ids=["levels", "swapped", "volumes", "named colours", "colours", "codes"],
)
def test_a_predicted_mask_is_a_label(
    values: Sequence[int] | str, classes: tuple[str, ...] | None, volumes: bool, tmp_path: Path
) -> None:
    source = tmp_path / "set"
    table = COLOURS if values == "colours" else np.array(values, np.uint8)
    for number in range(10):
        write(source, number, table[codes_of(number)] if number < 8 else None, volumes)
    prepare(source, tmp_path / "data", classes=classes, console=Quiet())
    before = PreparedData(tmp_path / "data")
    train(
        tmp_path / "data", tmp_path / "run", method="supervised", settings=SETTINGS, console=Quiet()
    )
    new = sorted((source / "images").glob("p[89].*"))
    predict(tmp_path / "run", new, tmp_path / "masks", console=Quiet())
    ending = ".nii.gz" if volumes else ".png"
    for number in (8, 9):
        made = tmp_path / "masks" / f"p{number}{ending}"
        made.rename(source / "labels" / made.name)
    prepare(source, tmp_path / "again", classes=classes, console=Quiet())
    after = PreparedData(tmp_path / "again")
    assert after.task.classes == before.task.classes
    # classes of unnamed colours are sorted by their colour
    own = np.array([0, 2, 1]) if values == "colours" and classes is None else np.arange(3)
    for number in (8, 9):
        label, expected = np.asarray(after.label(f"p{number}")), own[codes_of(number)]
        label = label[0]
        for code in (1, 2):
            found, true = label == code, expected == code
            assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.8

    # and masks are compared with references of the same values
    if classes is not None:
        for number in (8, 9):
            path = source / "labels" / f"p{number}{ending}"
            path.rename(tmp_path / "masks" / path.name)
            write(tmp_path / "references", number, table[codes_of(number)], volumes)
        named, naming = read_naming(classes, None)
        summary = compare(
            tmp_path / "masks", tmp_path / "references" / "labels", classes=named, naming=naming,
            console=Quiet(),
        )  # fmt: skip
        assert summary.complete
        assert {name.name for name in summary.classes} == {"a", "b"}
        assert (summary.overall["dice"].mean or 0) > 0.8


def test_labels_of_other_codes_are_named(tmp_path: Path) -> None:
    for number in range(8):
        mask = np.array([0, 127, 254], np.uint8)[codes_of(number)]
        write(tmp_path / "set", number, codes_of(number) if number == 5 else mask, False)
    manifest = prepare(
        tmp_path / "set", tmp_path / "data", classes=("127=a", "254=b"), console=Quiet()
    )
    (note,) = [note for note in manifest.notes if "no code belongs to a class" in note]
    assert note.startswith("1 label in which no code belongs to a class (images/p5.png): ")
