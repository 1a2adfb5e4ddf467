"""prepare, train, evaluate and predict on the command line, for pictures of every format."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from commandline import call, refused, small, well
from numpy.typing import NDArray
from PIL import Image

from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX

COUNT = 8


def scene(seed: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """[40, 48] in about [0, 1], and the codes of a dark disc (1) with a bright core (2)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:40, :48]
    away = np.hypot(rows - rng.integers(14, 26), columns - rng.integers(14, 34))
    codes = np.where(away < 4, 2, np.where(away < 10, 1, 0)).astype(np.uint8)
    return np.array([0.5, 0.2, 0.9])[codes] + rng.normal(0, 0.04, codes.shape), codes


def save(path: Path, values: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, photometric="minisblack" if values.ndim < 4 else "rgb")
    else:
        Image.fromarray(values).save(path)


def eight(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(255 * values, 0, 255).astype(np.uint8)


def deep_tiff(root: Path) -> None:
    """16 bits of which only a few are used, as in files of microscope cameras."""
    for number in range(COUNT):
        values, codes = scene(number)
        image = np.clip(3_000 + 900 * values, 0, 65_535).astype(np.uint16)
        save(root / "images" / f"n{number}.tif", image)
        save(root / "masks" / f"n{number}.png", codes)


def stacks(root: Path) -> None:
    """Volumes of four pages; the outer two of each mask are empty."""
    for number in range(COUNT):
        pages = [scene(10 * number + page) for page in range(4)]
        image = np.stack([np.clip(20_000 * values, 0, 65_535) for values, _ in pages])
        codes = np.stack([c if page in (1, 2) else 0 * c for page, (_, c) in enumerate(pages)])
        save(root / "images" / f"n{number}.tif", image.astype(np.uint16))
        save(root / "masks" / f"n{number}.tif", codes)


def colours(root: Path) -> None:
    for number in range(COUNT):
        values, codes = scene(number)
        save(root / "images" / f"n{number}.png", np.stack([eight(values)] * 3, -1))
        paint = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)], np.uint8)
        save(root / "masks" / f"n{number}.png", paint[codes])


def one_a_class(root: Path) -> None:
    for number in range(COUNT):
        values, codes = scene(number)
        save(root / f"n{number}.png", eight(values))
        save(root / f"n{number}_liver.png", (codes > 0) * np.uint8(255))
        save(root / f"n{number}_tumour.png", (codes == 2) * np.uint8(255))


def partly_labelled(root: Path) -> None:
    """The right third of every mask is ignored."""
    for number in range(COUNT):
        values, codes = scene(number)
        codes[:, 32:] = IGNORE_INDEX
        save(root / "images" / f"n{number}.png", eight(values))
        save(root / "masks" / f"n{number}.png", codes)


Form = Callable[[Path], None]
FORMS: list[tuple[Form, list[str], tuple[str, ...], list[str]]] = [
    (deep_tiff, ["--classes", "liver,tumour"], ("liver", "tumour"), []),
    (stacks, ["--spacing", "5,0.5,0.5"], ("class 1", "class 2"), ["8 patients = 8 volumes"]),
    (
        colours, ["--classes", "#0000ff=tumour,#ff0000=liver"], ("tumour", "liver"),
        ["8 pictures"],
    ),
    (
        one_a_class, ["--classes", "liver,tumour"], ("liver", "tumour"),
        ["overlap", "liver < tumour"],
    ),
    (partly_labelled, [], ("class 1", "class 2"), ["33.3% of the labelled pixels are ignored"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "words", "classes", "sentences"), FORMS, ids=[f[0].__name__ for f in FORMS]
)
def test_the_whole_way(
    tmp_path: Path, form: Form, words: list[str], classes: tuple[str, ...], sentences: list[str]
) -> None:
    source, data, run = tmp_path / "source", tmp_path / "data", tmp_path / "run"
    form(source)
    said = well(call("prepare", source, "-o", data, *words))
    assert all(sentence in said.all for sentence in sentences)
    prepared = PreparedData(data)
    assert prepared.task.foreground == classes
    swapped = form is colours
    for number in range(COUNT):
        codes = np.array(prepared.label(f"n{number}"))[-1 if form is not stacks else 1]
        truth = scene(number if form is not stacks else 10 * number + 1)[1]
        if swapped:
            truth = np.array([0, 2, 1], np.uint8)[truth]
        if form is partly_labelled:
            truth[:, 32:] = IGNORE_INDEX
        np.testing.assert_array_equal(codes, truth)

    steps = small(iterations="4", learning_rate="0.05")
    well(call("train", data, "--method", "supervised", "-o", run, *steps))
    said = well(call("evaluate", run, "--on", "test"))
    assert all(name in said.out for name in classes)
    assert ("hd95" if form is not stacks else "HD95 mm") in said.out.replace("HD95 p", "hd95 p")
    with next((run / "evaluation").rglob("cases.csv")).open(newline="") as file:
        scores = list(csv.DictReader(file))
    for row in scores:
        truth = np.array(prepared.label(row["case"]))
        assert int(row["reference_voxels"]) == np.count_nonzero(truth == int(row["code"]))

    images = source / "images" if (source / "images").is_dir() else source
    new = tmp_path / "new"
    new.mkdir()
    for path in images.glob("n[01].*"):
        path.rename(new / path.name)
    well(call("predict", run, new, "-o", tmp_path / "masks", "--probabilities"))
    suffix = "tif" if form is stacks else "png"
    mask = (
        tifffile.imread(tmp_path / "masks" / "n0.tif")
        if form is stacks
        else np.asarray(Image.open(tmp_path / "masks" / "n0.png"))
    )
    assert mask.dtype == np.uint8
    if form is colours:  # as its labels
        assert mask.shape == (40, 48, 3)
        found = {tuple(colour) for colour in mask.reshape(-1, 3).tolist()}
        assert found <= {(0, 0, 0), (255, 0, 0), (0, 0, 255)}
    else:
        assert mask.shape == ((4, 40, 48) if form is stacks else (40, 48))
        assert mask.max() <= 2
    names = {path.name for path in (tmp_path / "masks").glob(f"n0_prob_*.{suffix}")}
    assert names == {f"n0_prob_{name.replace(' ', '-')}.{suffix}" for name in classes}
    well(call("report", run))


def test_predictions_are_normalised_as_in_training(tmp_path: Path) -> None:
    """16-bit pictures are normalised by percentiles: a file gives the scores of its prepared case."""
    source, data, run = tmp_path / "source", tmp_path / "data", tmp_path / "run"
    deep_tiff(source)
    well(call("prepare", source, "-o", data))
    steps = small(iterations="40", validate_every="40", learning_rate="0.03")
    well(call("train", data, "--method", "supervised", "-o", run, *steps))
    prepared = PreparedData(data)
    name = prepared.manifest.split.test[0]
    well(call("predict", run, source / "images" / f"{name}.tif", "-o", tmp_path / "masks"))
    well(call("evaluate", run, "-o", tmp_path / "direct"))
    truth = tmp_path / "truth"
    save(truth / f"{name}.png", np.array(prepared.label(name))[0])
    well(
        call(
            "evaluate", tmp_path / "masks" / f"{name}.png", truth / f"{name}.png", "--classes",
            "class 1,class 2", "-o", tmp_path / "files",
        )
    )  # fmt: skip

    def dice(folder: str) -> list[str]:
        with (tmp_path / folder / "cases.csv").open(newline="") as file:
            return [row["dice"] for row in csv.DictReader(file) if row["case"] == name]

    assert dice("direct") == dice("files")
    assert any(float(value) > 0 for value in dice("direct") if value)


def test_pictures_of_another_kind_than_the_trainings(tmp_path: Path) -> None:
    source, data, run = tmp_path / "source", tmp_path / "data", tmp_path / "run"
    partly_labelled(source)
    well(call("prepare", source, "-o", data))
    well(call("train", data, "--method", "supervised", "-o", run, *small(iterations="1")))
    new = tmp_path / "new"
    save(new / "deep.png", (200 * scene(1)[0]).clip(0).astype(np.uint16))
    save(new / "stack.tif", np.stack([eight(scene(n)[0]) for n in range(3)]))
    save(new / "colour.png", np.stack([eight(scene(1)[0])] * 3, -1))
    save(new / "grey.png", eight(scene(1)[0]))
    said = call("predict", run, new, "-o", tmp_path / "masks")
    assert said.code == 1
    assert "deep.png has more than 8 bits per pixel, but the run was trained on images with 8" in (
        said.all
    )
    assert "stack.tif is a stack of pictures, but the run was trained on pictures" in said.all
    assert "1 image (such as" in said.all
    assert "colour.png), since the training images were grey" in said.all
    masks = {path.name for path in (tmp_path / "masks").glob("*.png")}
    assert masks == {"colour.png", "grey.png"}
    one, other = (np.asarray(Image.open(tmp_path / "masks" / name)) for name in sorted(masks))
    np.testing.assert_array_equal(one, other)


def test_slices_that_nobody_drew_are_unlabelled_images(tmp_path: Path) -> None:
    source, data, run = tmp_path / "source", tmp_path / "data", tmp_path / "run"
    stacks(source)
    well(call("prepare", source, "-o", tmp_path / "all"))
    assert not any(case.unlabelled_slices for case in PreparedData(tmp_path / "all").manifest.cases)
    said = well(call("prepare", source, "-o", data, "--empty-slices", "unlabelled"))
    assert "16 slices of labelled volumes have no label and serve as unlabelled images" in said.all
    prepared = PreparedData(data)
    assert all(case.unlabelled_slices == (0, 3) for case in prepared.manifest.cases)
    assert (np.array(prepared.label("n0"))[[0, 3]] == IGNORE_INDEX).all()
    # every case is labelled: these slices are the only unlabelled images
    words = ("--method", "cross-teaching", "-o", run, *small(iterations="2"))
    said = well(call("train", data, *words))
    assert "slices of them without a label" in said.out
    refused(call("train", tmp_path / "all", *words, "--overwrite"), "needs unlabelled images")
    well(call("evaluate", run))


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    source = tmp_path / "source"
    partly_labelled(source)
    words = ("prepare", source, "-o", tmp_path / "data")
    refused(call(*words, "--empty-slices", "unlabelled"), "--empty-slices is for volumes")
    refused(call(*words, "--empty-slices", "maybe"), "use background or unlabelled")
    refused(call(*words, "--ignore-value", "300"), "--ignore-value 300")
    refused(call(*words, "--ignore-value", "none"), "contains 255 in addition to class codes")
    assert not (tmp_path / "data").exists()


def test_volumes_are_not_reduced(phantom: Path, tmp_path: Path) -> None:
    words = ("prepare", phantom, "-o", tmp_path / "data")
    refused(call(*words, "--max-side", "32"), "--max-side is for pictures")
    assert not (tmp_path / "data").exists()


def test_masks_of_files_are_scored_where_they_are_not_ignored(tmp_path: Path) -> None:
    codes = scene(0)[1]
    partly = codes.copy()
    partly[:, 32:] = IGNORE_INDEX
    wrong = codes.copy()
    wrong[:, 32:] = 2
    save(tmp_path / "p" / "a.png", wrong)
    save(tmp_path / "r" / "a.png", partly)
    save(tmp_path / "p" / "b.tif", np.stack([wrong, wrong]))
    save(tmp_path / "r" / "b.tif", np.stack([partly, partly]))
    for words in ((), ("--classes", "liver,tumour")):
        out = tmp_path / f"scores{len(words)}"
        said = well(call("evaluate", tmp_path / "p", tmp_path / "r", "-o", out, *words))
        assert "2 cases" in said.out
        with (out / "cases.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [float(row["dice"]) for row in rows] == [1.0] * 4
    # only 0 and 255: with two named classes, these pixels are ignored
    save(tmp_path / "r" / "a.png", np.where(partly == IGNORE_INDEX, partly, 0))
    said = well(
        call("evaluate", tmp_path / "p" / "a.png", tmp_path / "r" / "a.png", "--classes", "x,y")
    )
    assert "spurious" in said.out
