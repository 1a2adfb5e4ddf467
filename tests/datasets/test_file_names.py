"""Names of files that say more than the image: suffixes of several parts, phrases in front, leading zeros."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from semiseg.datasets import detect
from semiseg.datasets.base import Options, Scan
from semiseg.datasets.roles import names_label, plain_name, without_words
from semiseg.datasets.spelling import one_spelling, spelling_key, unpadded
from semiseg.errors import UserError
from semiseg.workflows.image_files import image_files

IMAGES, MASKS = range(4), range(3)  # the last image has no mask


def mask(number: int) -> NDArray[np.uint8]:
    values = np.zeros((32, 32), np.uint8)
    values[4 + number : 14 + number, 6:20] = 255
    return values


def save(path: Path, values: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix.startswith(".tif"):
        tifffile.imwrite(path, values, photometric="minisblack")
    else:
        Image.fromarray(values).save(path)


def source(folder: Path, image: str, label: str, levels: int = 256) -> Path:
    """Images and masks of these names with ``{n}``, the images of so many grey levels."""
    for n in IMAGES:
        pixels = np.random.default_rng(n).integers(0, levels, (32, 32)).astype(np.uint8)
        save(folder / image.format(n=n), pixels)
    for n in MASKS:
        save(folder / label.format(n=n), mask(n))
    return folder


def scan(folder: Path, **options: str) -> Scan:
    return detect(folder)[0].scan(folder, Options(**options))  # type: ignore[arg-type]


def check(result: Scan) -> None:
    """Every image has its own mask, read as one class."""
    assert [case.has_label for case in result.cases] == [True, True, True, False]
    assert result.classes is None or len(result.classes) == 2
    for n, case in zip(MASKS, result.cases, strict=False):
        label = case.read().label
        assert label is not None
        assert np.array_equal(label[0] > 0, mask(n) > 0)


@pytest.mark.parametrize("levels", [256, 4])  # images of few levels look like masks
@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("raw/c{n}.ome.tif", "nuclei masks/c{n}.tif"),
        ("images/c{n}.ome.tif", "masks/c{n}.tif"),
        ("raw/c{n}.ome.tiff", "masks/c{n}.png"),
        ("images/c{n}.ome.tif", "masks/c{n}.ome.tif"),
        ("images/c{n}.ome.tif", "masks/c{n}.ome.png"),
        ("c{n}.ome.tif", "c{n}_mask.tif"),
        ("c{n}.ome.tif", "c{n}.ome-labels.tif"),
        ("c{n}.OME.TIF", "c{n}.OME_mask.png"),
        ("images/s{n}.jpg", "masks/s{n}.jpg.png"),
        ("s{n}.png", "s{n}.png_mask.png"),
        ("raw/c_{n}.ome.tif", "nuclei masks/c_00{n}.tif"),
    ],
)
def test_suffixes_of_several_parts(tmp_path: Path, image: str, label: str, levels: int) -> None:
    check(scan(source(tmp_path, image, label, levels)))


def test_the_suffix_of_the_labels_is_not_the_end_of_another(tmp_path: Path) -> None:
    source(tmp_path, "c{n}.ome.tif", "c{n}.tif")
    check(scan(tmp_path))
    check(scan(tmp_path, labels=".tif"))


def test_images_in_a_folder_of_images_are_no_labels(tmp_path: Path) -> None:
    source(tmp_path, "raw/c{n}_gfp.tif", "nuclei masks/c{n}.tif", levels=4)
    with pytest.raises(UserError, match=r"none of its labels .* --labels 'nuclei masks'"):
        scan(tmp_path)
    check(scan(tmp_path, labels="nuclei masks"))


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("s{n}.tif", "Mask of s{n}.tif"),
        ("images/s{n}.tif", "Masks/Mask of s{n}.tif"),
        ("s{n}.png", "Segmentation of s{n}.png"),
        ("s{n}.png", "Binary of s{n}.png"),
        ("s{n}.png", "Labels_of_s{n}.png"),
        ("s{n}.png", "Count Masks of s{n}.tif"),
        ("s{n}.png", "Ground truth of s{n}.png"),
        ("s{n}.png", "Maske von s{n}.png"),
        ("s{n}.png", "Masque de s{n}.png"),
        ("Image of s{n}.png", "Mask of s{n}.png"),
        ("s{n}.png", "s{n}-mask.png"),
        ("s{n}.png", "S{n}_Mask.png"),
        ("images/s{n}.png", "masks/Copy of s{n}.png"),
        ("images/s{n}.png", "masks/Kopie von s{n}.png"),
        ("images/Copy of s{n}.png", "masks/Copy of s{n}.png"),
        ("images/Scan {n}.png", "labels/scan_{n}.png"),
    ],
)
def test_phrases_before_the_name_of_the_image(tmp_path: Path, image: str, label: str) -> None:
    check(scan(source(tmp_path, image, label)))


def test_the_copy_of_one_mask_is_left_out_with_a_note(tmp_path: Path) -> None:
    source(tmp_path, "images/s{n}.png", "masks/s{n}.png")
    save(tmp_path / "masks" / "Copy of s1.png", mask(2))
    result = scan(tmp_path)
    check(result)
    assert any(
        "1 label without an image is left out: masks/Copy of s1.png" in n for n in result.notes
    )


def test_masks_with_a_phrase_are_not_predicted(tmp_path: Path) -> None:
    source(tmp_path, "s{n}.ome.tif", "Mask of s{n}.tif")
    assert [path.name for path in image_files(tmp_path)] == [f"s{n}.ome.tif" for n in IMAGES]


def test_plain_names() -> None:
    names = {
        "Mask of a": "a_Mask", "Binary of a": "a_mask", "Copy of Mask of a": "a_Copy_Mask",
        "Image of a": "a", "a.ome_mask": "a_mask", "a.nii_seg": "a_seg", "a.png.jpg": "a",
        "of a": "of a", "masking of a": "masking of a", "mask_a": "mask_a", ".png": ".png",
    }  # fmt: skip
    assert {name: plain_name(name) for name in names} == names
    assert names_label("Binary of cell")
    assert without_words("Labels of Cell 3", {"labels"}) == "cell_3"


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/img_{n}.png", "masks/img_00{n}.png"),
        ("images/img_00{n}.png", "masks/img_{n}.png"),
        ("img_{n}.png", "img_0{n}_mask.png"),
        ("A/{n}.png", "masks/00{n}.png"),
        ("images/P{n}_01.png", "masks/P0{n}_1.png"),
    ],
)
def test_leading_zeros_that_differ(tmp_path: Path, image: str, label: str) -> None:
    result = scan(source(tmp_path, image, label))
    check(result)
    (note,) = [note for note in result.notes if "leading zeros" in note]
    assert note.startswith("3 labels have other leading zeros than the image with the same number")


def test_structures_and_leading_zeros(tmp_path: Path) -> None:
    source(tmp_path, "img_{n}.png", "img_00{n}_liver_mask.png")
    for n in MASKS:
        save(tmp_path / f"img_00{n}_spleen_mask.png", np.roll(mask(n), 16, 1))
    result = scan(tmp_path)
    assert result.classes == ("background", "liver", "spleen")
    assert len(result.cases) == 4


def test_leading_zeros_that_are_ambiguous(tmp_path: Path) -> None:
    source(tmp_path, "images/img_{n}.png", "masks/img_00{n}.png")
    for n in IMAGES:
        save(tmp_path / "images" / f"img_0{n}.png", mask(n))
    with pytest.raises(UserError, match=r"none of its labels \(3, for example img_000\.png\)"):
        scan(tmp_path)


def test_labels_of_other_names_with_the_same_numbers(tmp_path: Path) -> None:
    source(tmp_path, "images/a{n}.png", "masks/b{n}.png")
    with pytest.raises(UserError, match=r"last numbers of their names with --labels masks"):
        scan(tmp_path)
    check(scan(tmp_path, labels="masks"))


def test_unused_masks_are_named_with_the_nearest_image(tmp_path: Path) -> None:
    source(tmp_path, "images/patient_{n}.png", "labels/patient_{n}.png")
    for name in ("patient_1O", "patinet_3"):
        save(tmp_path / "labels" / f"{name}.png", mask(0))
    save(tmp_path / "labels" / "x.png", mask(0))
    (note,) = [note for note in scan(tmp_path).notes if "without an image" in note]
    assert note == (
        "3 labels without an image are left out: labels/patient_1O.png (the nearest name is patient_3.png), "
        "labels/patinet_3.png (the nearest name is patient_3.png), labels/x.png."
    )


def test_spellings() -> None:
    assert [unpadded(name) for name in ("img_001", "a00b0", "10", "0.05")] == [
        "img_1", "a0b0", "10", "0.5",
    ]  # fmt: skip
    assert len({spelling_key(name) for name in ("P01", "p1", " P-01 ", "P 1", "p_001")}) == 1
    assert len({spelling_key(name) for name in ("P1-1", "P11", "P1", "Q1", "P-1-1a")}) == 5
    assert one_spelling(["P01", "Q", "p1", "P1", "P01"]) == {"p1": "P01", "P1": "P01"}


@pytest.mark.parametrize(("suffix", "name"), [(".mat", "0{n}"), (".mat", "{n}"), (".json", "{n}")])
def test_labels_that_cannot_be_read_are_said(tmp_path: Path, suffix: str, name: str) -> None:
    from semiseg.datasets.unread import unread_labels

    source(tmp_path, "images/{n}.png", "masks/{n}.png")
    for n in MASKS:
        (tmp_path / "masks" / f"{n}.png").unlink()
        (tmp_path / "masks" / f"{name.format(n=n)}{suffix}").write_bytes(b"x")
    said = unread_labels(scan(tmp_path), tmp_path)
    if name != "{n}":
        assert said == ""
        return
    assert said == (
        f"3 files (3 {suffix}, such as masks/0{suffix}) have the names of images but cannot be read: "
        "pictures take labels in PNG, TIFF or .npy"
    )
