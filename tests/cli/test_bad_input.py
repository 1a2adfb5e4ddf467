"""Bad input: one sentence that names the file or option, exit code 2, no file changed."""

import gzip
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
from commandline import call, process, refused, small, tree, well
from PIL import Image

from semiseg.data.manifest import PreparedData

CLASSES = {"0": "background", "1": "RV", "2": "Myo", "3": "LV"}


def save(path: Path, array: np.ndarray[Any, Any], spacing: float = 8.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.5, 1.5, spacing, 1.0])), path)


def write_hearts(folder: Path) -> Path:
    """Six patients, one image and label each, with class names."""
    rng = np.random.default_rng(0)
    for number in range(1, 7):
        label = rng.integers(0, 4, (12, 11, 4)).astype(np.uint8)
        image = (100 * label + rng.integers(0, 20, label.shape)).astype(np.int16)
        save(folder / "images" / f"p{number}.nii.gz", image)
        save(folder / "labels" / f"p{number}.nii.gz", label)
    (folder / "dataset.json").write_text(json.dumps({"labels": CLASSES}))
    return folder


IMAGE, LABEL = "images/p3.nii.gz", "labels/p3.nii.gz"


def _no_label_at_all(folder: Path) -> None:
    shutil.rmtree(folder / "labels")


def _codes_outside_the_classes(folder: Path) -> None:
    save(folder / LABEL, np.full((12, 11, 4), 4, np.uint8))


def _another_shape(folder: Path) -> None:
    save(folder / LABEL, np.ones((12, 11, 5), np.uint8))


def _another_grid(folder: Path) -> None:
    save(folder / LABEL, np.ones((12, 11, 4), np.uint8), spacing=5.0)


def _not_a_number(folder: Path) -> None:
    image = np.random.default_rng(1).normal(size=(12, 11, 4)).astype(np.float32)
    image[3, 3, 3] = np.nan
    save(folder / IMAGE, image)


def _constant(folder: Path) -> None:
    save(folder / IMAGE, np.full((12, 11, 4), 7, np.int16))


def _empty(folder: Path) -> None:
    save(folder / IMAGE, np.zeros((12, 11, 0), np.int16))


def _four_axes(folder: Path) -> None:
    save(folder / IMAGE, np.arange(12 * 11 * 4 * 3).reshape(12, 11, 4, 3).astype(np.int16))


def _truncated_gzip(folder: Path) -> None:
    content = (folder / IMAGE).read_bytes()
    (folder / IMAGE).write_bytes(content[: len(content) // 2])


def _no_gzip(folder: Path) -> None:
    (folder / IMAGE).write_bytes(gzip.decompress((folder / IMAGE).read_bytes()))


def _twice(folder: Path) -> None:
    shutil.copy(folder / "images" / "p4.nii.gz", folder / "images" / "more.nii.gz")
    (folder / "images" / "sub").mkdir()
    shutil.move(folder / "images" / "more.nii.gz", folder / "images" / "sub" / "p3.nii.gz")


def _broken_description(folder: Path) -> None:
    (folder / "dataset.json").write_text("{labels")


def without_kept_cases(folder: Path) -> dict[str, str]:
    """The tree without cases that a refused preparation keeps for the next try."""
    return {name: content for name, content in tree(folder).items() if ".partial" not in name}


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_no_label_at_all, "no label"),
        (_codes_outside_the_classes, "p3"),
        (_another_shape, LABEL),
        (_another_grid, LABEL),
        (_not_a_number, IMAGE),
        (_constant, IMAGE),
        (_empty, IMAGE),
        (_four_axes, IMAGE),
        (_truncated_gzip, IMAGE),
        (_no_gzip, IMAGE),
        (_twice, "p3"),
        (_broken_description, "dataset.json"),
    ],
)
def test_prepare_refuses(tmp_path: Path, spoil: Callable[[Path], None], named: str) -> None:
    source, out = write_hearts(tmp_path / "hearts"), tmp_path / "data"
    well(call("prepare", source, "-o", out))
    spoil(source)
    before = tree(tmp_path)
    refused(call("prepare", source, "-o", out, "--overwrite"), named)
    refused(call("prepare", source, "-o", tmp_path / "new"), named)
    assert without_kept_cases(tmp_path) == before


def test_prepare_refuses_unreadable_hdf5(tmp_path: Path) -> None:
    folder = tmp_path / "ACDC"
    (folder / "data" / "slices").mkdir(parents=True)
    names = [f"patient001_frame01_slice_{number}" for number in (1, 2)]
    for name in names:
        with h5py.File(folder / "data" / "slices" / f"{name}.h5", "w") as file:
            file["image"] = np.random.default_rng(0).random((9, 9))
            file["label"] = np.eye(9, dtype=np.uint8)
    (folder / "train_slices.list").write_text("\n".join(names) + "\n")
    broken = folder / "data" / "slices" / f"{names[1]}.h5"
    broken.write_bytes(broken.read_bytes()[:700])
    before = tree(tmp_path)
    refused(call("prepare", folder, "-o", tmp_path / "data"), broken)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ('{"train": ["p1", "p2"], "test": ["p2"]}', ["split.json", "p2", "train and in test"]),
        ('{"train": ["p1"], "test": ["p9"]}', ["split.json", "p9"]),
        ('{"train": ["p1"], "tset": ["p2"]}', ["split.json", "keys train, validation, test"]),
        ('{"train": ["p1",', ["split.json", "not JSON"]),
        ('{"train": [], "test": ["p1"]}', ["split.json", "training"]),
    ],
)
def test_prepare_refuses_splits(tmp_path: Path, content: str, fragments: list[str]) -> None:
    source = write_hearts(tmp_path / "hearts")
    (tmp_path / "split.json").write_text(content)
    before = tree(tmp_path)
    split = ("--split", tmp_path / "split.json")
    refused(call("prepare", source, "-o", tmp_path / "data", *split), *fragments)
    assert tree(tmp_path) == before


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


def test_an_output_inside_the_source_is_written_there_and_not_read_back(tmp_path: Path) -> None:
    source = write_hearts(tmp_path / "hearts")
    before = tree(source / "images", source / "labels")
    well(call("prepare", source, "-o", source / "prepared"))
    again = well(call("prepare", source, "-o", source / "again"))
    assert "found: 6 patients = 6 volumes" in again.out
    assert tree(source / "images", source / "labels") == before


def test_without_an_unlabelled_image_the_method_is_named(tmp_path: Path) -> None:
    source, data, out = write_hearts(tmp_path / "hearts"), tmp_path / "data", tmp_path / "run"
    well(call("prepare", source, "-o", data))
    before = tree(tmp_path)
    said = call("train", data, "--method", "mcsc", "-o", out, *small())
    refused(said, "mcsc needs unlabelled images", "--labelled")
    words = ("--methods", "supervised,mcsc", "--on", "test", "-o", out)
    refused(call("benchmark", data, *words, *small()), "mcsc needs unlabelled images")
    assert tree(tmp_path) == before


def test_data_that_moved_away(data: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(data, first)
    run = tmp_path / "run"
    words = ("train", first, "--method", "supervised", "--labelled", "2", "-o", run)
    well(call(*words, *small(), "--time", "0s"))
    first.rename(second)
    before = tree(tmp_path)
    refused(call("evaluate", run), first, "--data")
    refused(call("train", "--resume", "-o", run), first, "semiseg train DATA --resume")
    assert tree(tmp_path) == before
    well(call("train", second, "--resume", "-o", run))
    well(call("evaluate", run, "--data", second, "-o", tmp_path / "scores"))


def test_a_run_is_not_resumed_on_other_data(data: Path, picture_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train", data, "--method", "supervised", "--labelled", "2", "-o", run)
    well(call(*words, *small(), "--time", "0s"))
    before = tree(run, picture_data)
    refused(call("train", picture_data, "--resume", "-o", run), picture_data, "other data")
    refused(call("evaluate", run, "--data", picture_data), "classes")
    assert tree(run, picture_data) == before


def test_a_copy_split_anew_is_scored_by_the_split_of_the_run(
    phantom: Path, data: Path, run: Path, tmp_path: Path
) -> None:
    """Otherwise a network would be tested on patients that it was trained on."""
    anew = tmp_path / "anew"
    well(call("prepare", phantom, "-o", anew, "--seed", "11"))
    test = PreparedData(data).manifest.split.test
    assert set(PreparedData(anew).manifest.split.test) != set(test)
    well(call("evaluate", run, "--data", anew, "-o", tmp_path / "scores"))
    scored = (tmp_path / "scores" / "cases.csv").read_text().splitlines()[1:]
    assert {line.split("_")[0] for line in scored} == set(test)


def unfinished(data: Path, run: Path) -> Path:
    """A run stopped after its second checkpoint."""
    words = ("train", data, "--method", "supervised", "--labelled", "2", "-o", run)
    well(call(*words, *small(), "--time", "0s"))
    well(call("train", "--resume", "-o", run, "--time", "0s"))
    return run


def test_a_checkpoint_cut_short_is_said_and_the_one_before_is_taken(
    data: Path, tmp_path: Path
) -> None:
    whole, cut = unfinished(data, tmp_path / "whole"), tmp_path / "cut"
    shutil.copytree(whole, cut)
    newest = sorted((cut / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    said = well(call("train", "--resume", "-o", cut))
    assert f"{newest.name} is truncated or damaged: using the previous" in said.out
    well(call("train", "--resume", "-o", whole))
    ends = [path / "weights" / "last.safetensors" for path in (whole, cut)]
    assert ends[0].read_bytes()[-4096:] == ends[1].read_bytes()[-4096:]


def test_weights_cut_short(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    best = mine / "weights" / "best.safetensors"
    best.write_bytes(best.read_bytes()[:1000])
    refused(call("evaluate", mine), best, "--weights last")
    well(call("evaluate", mine, "--weights", "last"))
    best.unlink()
    refused(call("predict", mine, mine, "-o", tmp_path / "out"), "No image found")
    refused(call("evaluate", mine), best, "does not exist")


def test_a_run_with_a_damaged_configuration(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    config = (mine / "config.yaml").read_text()
    for text, fragment in (
        (config.replace("iterations: 6", "iterations: many"), "training.iterations"),
        (config.replace("embed_dim: 8", "embed_dim: 16"), "config.yaml"),
        ("[1, 2", "config.yaml"),
        ("some words", "config.yaml"),
        (
            config.replace("format: 2\n", ""),
            "was written by another version of semiseg: train again",
        ),
    ):
        assert text != config
        (mine / "config.yaml").write_text(text)
        refused(call("evaluate", mine), fragment)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Simulate a full disk: writing more than ``size`` bytes to a file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_a_training_that_then_goes_on(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train", data, "--method", "supervised", "--labelled", "2", "-o", run)
    with files_of_at_most(20_000):
        said = call(*words, *small())
    refused(said, run, "make room")
    assert not list(run.rglob(".partial*"))
    well(call("train", "--resume", "-o", run))
    assert json.loads((run / "finished.json").read_text())["iterations"] == 6


def test_a_full_disk_fails_masks_one_by_one(run: Path, phantom: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks"
    images = sorted((phantom / "images").iterdir())[:3]
    with files_of_at_most(20):
        refused(call("predict", run, *images, "-o", out), "cannot be written")
    assert not out.exists()
    well(call("predict", run, images[0], "-o", out))
    before = tree(out)
    with files_of_at_most(20):
        said = call("predict", run, *images, "-o", out)
    assert said.code == 1
    assert said.out.count("cannot be written") == 2
    assert tree(out) == before


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


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder(data: Path, run: Path, phantom: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    for words in (
        ("prepare", phantom, "-o", locked / "data"),
        ("train", data, "--method", "mcsc", "--labelled", "2", *small(), "-o", locked / "run"),
        ("evaluate", run, "-o", locked / "scores"),
        ("predict", run, phantom / "images", "-o", locked / "masks"),
        ("predict", run, phantom / "images", "-o", locked),
        ("benchmark", data, "--methods", "supervised", *small(), "-o", locked / "bench"),
        ("report", run, "-o", locked / "page.html"),
        ("demo", "-o", locked / "demo"),
    ):
        refused(call(*words), locked)


def test_a_folder_that_cannot_be_made(data: Path, run: Path, phantom: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("here")
    for words in (
        ("prepare", phantom, "-o", file / "data"),
        ("train", data, "--method", "mcsc", "--labelled", "2", *small(), "-o", file / "run"),
        ("evaluate", run, "-o", file / "scores"),
        ("predict", run, phantom / "images", "-o", file / "masks"),
        ("benchmark", data, "--methods", "supervised", *small(), "-o", file / "bench"),
        ("report", run, "-o", file / "page.html"),
        ("demo", "-o", file / "demo"),
    ):
        refused(call(*words), file)
    assert file.read_text() == "here"


def test_bad_pictures(tmp_path: Path, pictures: Path) -> None:
    source = tmp_path / "polyps"
    shutil.copytree(pictures, source)
    deep = np.random.default_rng(0).integers(0, 60000, (40, 48)).astype(np.uint16)
    for name, spoil in (
        ("images/polyp2.png", lambda path: Image.fromarray(deep).save(path)),
        ("images/polyp3.png", lambda path: path.write_bytes(path.read_bytes()[:200])),
        ("masks/polyp4.png", lambda path: Image.new("L", (10, 10)).save(path)),
        ("images/polyp5.png", lambda path: Image.new("RGB", (48, 40)).save(path)),
    ):
        whole = (source / name).read_bytes()
        spoil(source / name)
        before = without_kept_cases(tmp_path)
        refused(call("prepare", source, "-o", tmp_path / "data"), source / name)
        assert without_kept_cases(tmp_path) == before
        (source / name).write_bytes(whole)


def test_a_real_process_tells_by_its_exit_code(tmp_path: Path) -> None:
    refused(process("prepare", tmp_path / "nowhere", "-o", tmp_path / "data"), "nowhere")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--reader", "x"], "--reader x: no mask has this reader in its name or folder"),
        (
            ["--reader", "x", "--layout", "btcv"],
            "--reader is for DICOM-SEG and for folders of masks",
        ),
        (["--uneven-slices", "resample"], "--uneven-slices is for DICOM"),
        (["--uneven-slices", "maybe"], "--uneven-slices maybe: use refuse or resample"),
    ],
)
def test_options_for_dicom(tmp_path: Path, option: list[str], said: str) -> None:
    source = write_hearts(tmp_path / "hearts")
    refused(call("prepare", source, "-o", tmp_path / "data", *option), said)
    assert not (tmp_path / "data").exists()
