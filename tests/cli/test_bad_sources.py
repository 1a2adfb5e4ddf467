"""Sources that prepare refuses: one sentence that names the file or option, and no file changed."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from commandline import call, process, refused, tree, well
from hearts import save, write_hearts
from PIL import Image

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


def test_an_output_inside_the_source_is_written_there_and_not_read_back(tmp_path: Path) -> None:
    source = write_hearts(tmp_path / "hearts")
    before = tree(source / "images", source / "labels")
    well(call("prepare", source, "-o", source / "prepared"))
    again = well(call("prepare", source, "-o", source / "again"))
    assert "found: 6 patients = 6 volumes" in again.out
    assert tree(source / "images", source / "labels") == before


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


def test_a_real_process_tells_by_its_exit_code(tmp_path: Path) -> None:
    refused(process("prepare", tmp_path / "nowhere", "-o", tmp_path / "data"), "nowhere")
