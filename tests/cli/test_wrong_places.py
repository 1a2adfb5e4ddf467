"""One thing in place of another, and results that would replace others: one sentence, no file changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import call, refused, tree, well


def _empty_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _a_file(folder: Path) -> Path:
    folder.write_text("hello")
    return folder


@pytest.mark.parametrize("make", [_empty_folder, _a_file, lambda folder: folder])
@pytest.mark.parametrize(
    "words",
    [
        ("prepare", "THING", "-o", "OUT"),
        ("train", "THING", "--method", "mcsc", "-o", "OUT"),
        ("train", "--resume", "-o", "THING"),
        ("evaluate", "THING"),
        ("evaluate", "THING", "THING"),
        ("predict", "THING", "IMAGES", "-o", "OUT"),
        ("predict", "RUN", "THING", "-o", "OUT"),
        ("benchmark", "THING", "--methods", "mcsc", "-o", "OUT"),
        ("report", "THING"),
    ],
)
def test_nothing_an_empty_folder_or_a_file_in_place_of_a_folder(
    tmp_path: Path, make: Callable[[Path], Path], words: tuple[str, ...], run: Path, phantom: Path
) -> None:
    places = {
        "THING": make(tmp_path / "thing"), "OUT": tmp_path / "out", "RUN": run,
        "IMAGES": phantom / "images",
    }  # fmt: skip
    before = tree(tmp_path, run)
    refused(call(*(places.get(word, word) for word in words)), tmp_path / "thing")
    assert tree(tmp_path, run) == before


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (("train", "RUN", "--method", "mcsc", "-o", "OUT"), ["not a prepared data set"]),
        (("train", "SOURCE", "--method", "mcsc", "-o", "OUT"), ["semiseg prepare"]),
        (("train", "--resume", "-o", "DATA"), ["is not a run"]),
        (("evaluate", "DATA"), ["is not a run"]),
        (("evaluate", "RUN", "--data", "RUN"), ["not a prepared data set"]),
        (("predict", "DATA", "IMAGES", "-o", "OUT"), ["is not a run"]),
        (("predict", "IMAGES", "RUN", "-o", "OUT"), ["is not a run"]),
        (
            ("predict", "RUN", "IMAGES", "-o", "mask.nii.gz"),
            ["is the name of a file", "give a folder"],
        ),
        (("prepare", "DATA", "-o", "OUT"), ["already a prepared data set"]),
        (("prepare", "SOURCE", "-o", "SOURCE"), ["contains the source"]),
        (("prepare", "IMAGES", "-o", "SOURCE", "--overwrite"), ["contains the source"]),
        (("prepare", "SOURCE", "-o", "RUN", "--overwrite"), ["not a prepared data set"]),
        (("prepare", "SOURCE", "-o", "DATA", "--seed", "5"), ["another split", "--overwrite"]),
        (("pack", "RUN", "-o", "OUT"), ["not a prepared data set"]),
        (("pack", "DATA", "-o", "SOURCE", "--overwrite"), ["is a folder"]),
        (("pack", "DATA", "-o", "OUT", "--bits", "12"), ["--bits 12", "8 or 16"]),
        (("unpack", "DATA", "-o", "OUT"), ["is a folder"]),
        (("report", "DATA"), ["neither a run", "nor a benchmark"]),
        (("benchmark", "DATA", "--methods", "mcsc", "-o", "RUN"), ["is not a benchmark"]),
        (("train", "DATA", "--method", "mcsc", "--labelled", "2", "-o", "RUN"), ["--resume"]),
        # a folder that is not a run is never replaced
        (("train", "DATA", "--method", "mcsc", "-o", "DATA", "--overwrite"), ["is not a run"]),
        (("train", "DATA", "--method", "mcsc", "-o", "SOURCE", "--overwrite"), ["is not a run"]),
        (("demo", "-o", "DATA", "--overwrite"), ["is not a demo"]),
        (("predict", "RUN", "IMAGES", "-o", "IMAGES", "--overwrite"), ["overwrite the image"]),
        (("predict", "RUN", "IMAGES", "LABELS", "-o", "OUT"), ["would write the same mask"]),
        (("evaluate", "RUN", "LABELS"), ["contains no masks"]),
        (("evaluate", "LABELS", "LABELS", "--classes", "RV,3=LV"), ["CODE=NAME"]),
    ],
)
def test_one_thing_in_place_of_another(
    tmp_path: Path,
    words: tuple[str, ...],
    fragments: list[str],
    run: Path,
    data: Path,
    phantom: Path,
) -> None:
    places = {
        "RUN": run, "DATA": data, "SOURCE": phantom, "IMAGES": phantom / "images",
        "LABELS": phantom / "labels", "OUT": tmp_path / "out",
    }  # fmt: skip
    before = tree(run, data, phantom, tmp_path)
    said = call(*(places.get(word, word) for word in words))
    refused(said, *fragments)
    assert tree(run, data, phantom, tmp_path) == before


def test_masks_of_another_run_are_not_taken_for_ones_own(
    run: Path, phantom: Path, tmp_path: Path
) -> None:
    out, moved = tmp_path / "masks", tmp_path / "moved"
    images = sorted((phantom / "images").iterdir())[:2]
    well(call("predict", run, images[0], "-o", out))
    before = tree(out)
    shutil.copytree(run, moved)  # a copy of a run is the same run
    assert "kept: 1 mask already" in well(call("predict", moved, images[0], "-o", out)).out
    for words in (("--network", "swin"), ("--flips",)):
        said = call("predict", run, *images, "-o", out, *words)
        refused(said, "contains other masks", moved, "network unet", "--overwrite")
    masks = [path for path in before if path.endswith(".nii.gz")]
    assert [tree(out)[path] for path in masks] == [before[path] for path in masks]
    well(call("predict", run, *images, "-o", out, "--flips", "--overwrite"))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    shutil.copy(out / images[0].name, foreign)
    refused(call("predict", run, images[0], "-o", foreign), "of unknown origin")


def test_scores_do_not_take_the_place_of_others(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    well(call("evaluate", run, "--on", "test", "-o", out))
    before = tree(out)
    refused(call("evaluate", run, "--on", "validation", "-o", out), out, "part test")
    refused(call("evaluate", run, "-o", out, "--flips"), out, "flips False")
    assert tree(out) == before
    well(call("evaluate", run, "--on", "test", "-o", out))  # the same scores again
    well(call("evaluate", run, "--on", "validation", "-o", out, "--overwrite"))
    of = json.loads((out / "summary.json").read_text())["of"]
    assert (of["part"], of["network"], of["weights"]) == ("validation", "unet", "best")
    refused(call("evaluate", run, "-o", run), "is a run")
