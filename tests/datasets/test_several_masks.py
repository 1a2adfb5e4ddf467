"""Several masks of one image: what is united, what becomes classes, and what is refused."""

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mask_replicas
from consoles import Listening
from semiseg.console import Quiet
from semiseg.datasets import detect
from semiseg.datasets.base import Options, Scan
from semiseg.errors import UserError
from semiseg.workflows.prepare import prepare

SHAPE = (24, 24)
ONE, TWO = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
ONE[2:8, 2:8] = True
TWO[14:20, 12:20] = True


def picture(path: Path, seed: int = 0) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
    mask_replicas.save_picture(path, pixels)


def volume(path: Path, data: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)


def scan(folder: Path, options: Options | None = None) -> Scan:
    return detect(folder)[0].scan(folder, options or Options())


def labels(result: Scan) -> dict[str, NDArray[np.uint8] | None]:
    read = {case.identifier: case.read().label for case in result.cases}
    return {name: None if label is None else label[0] for name, label in read.items()}


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("a.png", ("a_mask.png", "a_mask_1.png")),
        ("a.png", ("a_mask (1).png", "a_mask (2).png")),
        ("images/a.png", ("masks/a.png", "masks/a_2.png")),
        ("images/a.png", ("masks/a_mask1.png", "masks/a_mask2.png")),
        ("images/a.png", ("masks/a/0.png", "masks/a/1.png")),
        ("a/images/a.png", ("a/masks/0123456789abcdef.png", "a/masks/fedcba9876543210.png")),
        ("a/image.png", ("a/mask_1.png", "a/mask_2.png")),
    ],
)
def test_numbers_and_identifiers_are_objects_of_one_class(
    tmp_path: Path, images: str, masks: Sequence[str]
) -> None:
    for number, name in enumerate(("a", "b", "c")):
        picture(tmp_path / images.replace("a.png", f"{name}.png").replace("a/", f"{name}/"), number)
        for path, mask in list(zip(masks, (ONE, TWO), strict=True))[: 2 - number]:
            own = (
                path.replace("a_", f"{name}_")
                .replace("a/", f"{name}/")
                .replace("/a.png", f"/{name}.png")
            )
            mask_replicas.save_picture(tmp_path / own, mask)
    result = scan(tmp_path)
    found = labels(result)
    assert result.classes is None
    assert list(found) == ["a", "b", "c"]  # no mask counts as an image
    np.testing.assert_array_equal(found["a"], ONE | TWO)
    np.testing.assert_array_equal(found["b"], ONE)
    assert found["c"] is None
    assert any("several masks" in note and "united" in note for note in result.notes)


def test_every_nucleus_is_in_the_label(tmp_path: Path) -> None:
    mask_replicas.nuclei(tmp_path, 3)
    for case in scan(tmp_path).cases:
        masks = (tmp_path / case.identifier / "masks").glob("*.png")
        expected = np.any(
            [np.asarray(Image.open(path)) > 0 for path in masks] or [ONE & False], axis=0
        )
        label = case.read().label
        assert (label is None) == (not expected.any())
        if label is not None:
            np.testing.assert_array_equal(label[0], expected)


def structures(folder: Path, form: str) -> None:
    for number, name in enumerate(("a", "b", "c")):
        data = np.random.default_rng(number).integers(0, 99, (*SHAPE, 3)).astype(np.int16)
        volume(folder / form.format(case=name, structure="").rpartition("|")[0], data)
        for structure, mask in (("liver", ONE), ("tumour", TWO))[: 2 - number]:
            path = form.rpartition("|")[2].format(case=name, structure=structure)
            volume(folder / path, np.repeat(mask[..., None], 3, 2).astype(np.uint8))


@pytest.mark.parametrize(
    "form",
    [
        "{case}/ct.nii.gz|{case}/segmentations/{structure}.nii.gz",
        "{case}/ct.nii.gz|{case}/{structure}_mask.nii.gz",
        "{case}.nii.gz|{case}_{structure}_seg.nii.gz",
        "images/{case}.nii.gz|labels/{structure}/{case}.nii.gz",
        "images/{case}.nii.gz|labels/{case}/{structure}.nii.gz",
        "images/{case}.nii.gz|labels/{case}_{structure}.nii.gz",
    ],
)
def test_names_of_structures_are_classes(tmp_path: Path, form: str) -> None:
    structures(tmp_path, form)
    result = scan(tmp_path)
    assert result.classes == ("background", "liver", "tumour")
    found = {case.identifier: case.read().label for case in result.cases}
    assert list(found) == ["a", "b", "c"]
    assert found["a"] is not None
    np.testing.assert_array_equal(found["a"][0], np.where(TWO, 2, np.where(ONE, 1, 0)))
    np.testing.assert_array_equal(found["b"][0], ONE)  # type: ignore[index]
    assert found["c"] is None
    assert any("counts as absent (tumour in 1 of 2 labelled images)" in n for n in result.notes)
    swapped = scan(tmp_path, Options(classes=("tumour",))).cases[0].read().label
    assert swapped is not None
    np.testing.assert_array_equal(swapped[0], TWO)


def test_numbers_in_names_of_structures(tmp_path: Path) -> None:
    mask_replicas.totalsegmentator(tmp_path / "whole", 3)
    assert scan(tmp_path / "whole").classes == ("background", *mask_replicas.ORGANS)
    for number, name in enumerate("ab"):
        picture(tmp_path / "open" / f"{name}.png", number)
        for index, mask in enumerate((ONE, TWO), 1):
            mask_replicas.save_picture(tmp_path / "open" / f"{name}_lesion{index}_mask.png", mask)
    with pytest.raises(UserError, match="--classes lesion or --classes lesion1,lesion2"):
        scan(tmp_path / "open")
    merged = scan(tmp_path / "open", Options(classes=("lesion",)))
    np.testing.assert_array_equal(labels(merged)["a"], ONE | TWO)
    apart = scan(tmp_path / "open", Options(classes=("lesion1", "lesion2")))
    np.testing.assert_array_equal(labels(apart)["a"], np.where(TWO, 2, np.where(ONE, 1, 0)))
    (tmp_path / "open" / "b_lesion2_mask.png").unlink()
    counted = scan(tmp_path / "open")
    assert counted.classes == ("background", "lesion")
    assert any("are of one class, 'lesion'" in note for note in counted.notes)


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ({"a_1stHO.png": ONE, "a_2ndHO.png": ONE}, "several annotations.*--labels"),
        ({"a_mask_rater1.png": ONE, "a_mask_rater2.png": ONE}, "several annotations.*--labels"),
        ({"a_mask.png": ONE, "a_liver_mask.png": TWO}, "a mask of 'liver', but the name of"),
        ({"a_mask.png": ONE, "a_seg.png": TWO}, "labels of the same image"),
        (
            {"a_mask.png": ONE, "a_mask_1.png": ONE | (TWO & (np.arange(24) < 14))},
            "nearly the same",
        ),
        ({"a_mask_1.png": ONE, "a_1.png": None}, r"a mask of a\.png or of a_1\.png"),
    ],
)
def test_masks_of_open_meaning_are_refused(
    tmp_path: Path, masks: dict[str, NDArray[np.bool_] | None], words: str
) -> None:
    picture(tmp_path / "a.png")
    for name, mask in masks.items():
        if mask is None:
            picture(tmp_path / name, 1)
        else:
            mask_replicas.save_picture(tmp_path / name, mask)
    with pytest.raises(UserError, match=words):
        labels(scan(tmp_path))


def test_masks_of_one_class_have_one_code(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    for index, mask in enumerate((ONE, TWO), 1):
        mask_replicas.save_picture(
            tmp_path / f"a_mask_{index}.png", (mask * index).astype(np.uint8)
        )
    with pytest.raises(UserError, match=r"holds the code 2 but another mask of a\.png holds 1"):
        labels(scan(tmp_path))
    mask_replicas.save_picture(tmp_path / "a_mask_2.png", (TWO + ONE * 2).astype(np.uint8))
    with pytest.raises(UserError, match=r"several class codes \(1, 2\) but its image has several"):
        labels(scan(tmp_path))


def test_a_mask_that_pairs_with_nothing_is_no_image(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        picture(tmp_path / f"{name}.png", number)
        mask_replicas.save_picture(tmp_path / f"{name}_mask.png", ONE)
    mask_replicas.save_picture(tmp_path / "b_spot.png", TWO)
    with pytest.raises(UserError, match=r"b_spot\.png pairs with no image and looks like a mask"):
        prepare(tmp_path, tmp_path.with_name("data"), console=Quiet())


@pytest.mark.parametrize("corrected", [2, 4])
def test_corrections_of_masks_do_not_make_images_of_the_masks(
    tmp_path: Path, corrected: int
) -> None:
    """``x_AB`` is a mask, and ``x_AB_mask`` its correction."""
    for number in range(4):
        folder = tmp_path / "source" / f"p{number}"
        volume(folder / "ct.nii.gz", np.random.default_rng(number).normal(size=(32, 32, 4)))
        mask = np.zeros((32, 32, 4), np.uint8)
        mask[5 : 15 + number, 5:20] = 1
        volume(folder / "liver_AB.nii.gz", mask)
        if number < corrected:
            volume(folder / "liver_AB_mask.nii.gz", np.roll(mask, 2, 0))
    console = Listening()
    if corrected < 4:
        with pytest.raises(
            UserError, match=r"liver_AB\.nii\.gz pairs with no image and looks like"
        ):
            prepare(tmp_path / "source", tmp_path / "data", console=console)
        return
    prepare(tmp_path / "source", tmp_path / "data", console=console)
    assert any("all 4 labelled images look like masks" in line for line in console.said)


def test_numbered_objects_that_pair_with_nothing_are_no_image(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        picture(tmp_path / f"{name}.png", number)
        mask_replicas.save_picture(tmp_path / f"{name}_mask.png", ONE)
    objects = np.zeros((64, 64), np.uint8)
    for number in range(16):
        row, column = divmod(number, 4)
        objects[16 * row + 2 : 16 * row + 14, 16 * column + 2 : 16 * column + 14] = number + 1
    mask_replicas.save_picture(tmp_path / "nuclei7.png", objects)
    with pytest.raises(UserError, match=r"nuclei7\.png pairs with no image and looks like a mask"):
        prepare(tmp_path, tmp_path.with_name("data"), console=Quiet())


def test_a_smooth_image_with_a_black_rim_is_no_mask(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        picture(tmp_path / f"{name}.png", number)
        mask_replicas.save_picture(tmp_path / f"{name}_mask.png", ONE)
    ramp = np.zeros((64, 640), np.uint8)
    ramp[8:56, 32:-32] = np.linspace(20, 60, 576).astype(np.uint8)
    mask_replicas.save_picture(tmp_path / "smooth.png", ramp)
    manifest = prepare(tmp_path, tmp_path.with_name("data"), console=Quiet())
    assert {case.identifier: case.labelled for case in manifest.cases}["smooth"] is False


def test_the_folder_may_be_the_class(tmp_path: Path) -> None:
    mask_replicas.ultrasound(tmp_path, 2)
    plain, named = scan(tmp_path), scan(tmp_path, Options(class_by_folder=True))
    assert named.classes == ("background", "benign", "malignant", "normal")
    for case, other in zip(plain.cases, named.cases, strict=True):
        one, two = case.read().label, other.read().label
        assert one is not None
        assert two is not None
        np.testing.assert_array_equal(one > 0, two > 0)
        code = named.classes.index(case.identifier.split()[0])
        assert set(np.unique(two)) <= {0, code}
    picture(tmp_path / "flat" / "images" / "a.png")
    mask_replicas.save_picture(tmp_path / "flat" / "masks" / "a.png", ONE)
    with pytest.raises(UserError, match="is in no folder that names a class"):
        scan(tmp_path / "flat", Options(class_by_folder=True))


def test_names_of_structures_that_differ_in_case_are_one(tmp_path: Path) -> None:
    for number, word in enumerate(("liver", "Liver", "LIVER")):
        picture(tmp_path / "images" / f"P{number}.png", number)
        mask_replicas.save_picture(tmp_path / "masks" / f"P{number}_{word}.png", ONE)
        mask_replicas.save_picture(tmp_path / "masks" / f"P{number}_spleen.png", TWO)
    assert scan(tmp_path).classes == ("background", "liver", "spleen")
