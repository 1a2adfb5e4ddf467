"""Masks that only the name of their structure tells apart from images."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from semiseg.datasets import detect
from semiseg.datasets.base import Options, Scan
from semiseg.errors import UserError

SHAPE = (16, 16, 3)


def volume(path: Path, data: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)


def box(start: int) -> NDArray[np.uint8]:
    mask = np.zeros(SHAPE, np.uint8)
    mask[start : start + 4, 4:12] = 1
    return mask


def source(folder: Path, form: str, images: tuple[str, ...], structures: dict[str, int]) -> None:
    """Four cases with the images of these names; masks in the first three."""
    for n in range(4):
        for index, word in enumerate(images):
            noise = np.random.default_rng(9 * n + index).normal(size=SHAPE).astype(np.float32)
            volume(folder / f"{form.format(n=n, word=word)}.nii.gz", noise)
        for word, start in structures.items():
            if n < 3:
                volume(folder / f"{form.format(n=n, word=word)}.nii.gz", box(start + n))


def scan(folder: Path) -> Scan:
    return detect(folder)[0].scan(folder, Options())


@pytest.mark.parametrize("form", ["case{n}/{word}", "case{n}/case{n}_{word}", "case{n}_{word}"])
@pytest.mark.parametrize("structures", [{"liver": 2}, {"Liver": 2, "Spleen": 8}])
def test_files_that_are_masks_are_labels(
    tmp_path: Path, form: str, structures: dict[str, int]
) -> None:
    source(tmp_path, form, ("ct",), structures)
    result = scan(tmp_path)
    assert result.classes == ("background", *structures)
    assert [case.has_label for case in result.cases] == [True, True, True, False]
    assert len({case.patient for case in result.cases}) == 4
    label = result.cases[1].read().label
    assert label is not None
    for code, start in enumerate(structures.values(), 1):
        expected = np.moveaxis(box(start + 1), 2, 0)
        assert np.count_nonzero(label == code) == np.count_nonzero(expected)
    names = ", ".join(word.lower() for word in structures)
    assert any(f"the files named {names} beside 'ct'" in note for note in result.notes)


def test_several_images_beside_a_mask(tmp_path: Path) -> None:
    source(tmp_path, "case{n}/{word}", ("flair", "t1"), {"lesion": 2})
    with pytest.raises(
        UserError, match=r"named lesion look like masks, .* 2 images .*flair, t1.*CSV"
    ):
        scan(tmp_path)


def test_images_are_not_labels(tmp_path: Path) -> None:
    source(tmp_path, "case{n}/{word}", ("flair", "t1"), {})
    assert not any(case.has_label for case in scan(tmp_path).cases)


@pytest.mark.parametrize("image", ["case{n}/case{n}", "case{n}/Case_{n}", "case{n}/scan_{n}7"])
def test_an_image_that_has_its_own_name_in_each_folder(tmp_path: Path, image: str) -> None:
    source(tmp_path, "case{n}/{word}", (), {"Liver": 2, "kidney_left": 8})
    (tmp_path / "case1" / "kidney_left.nii.gz").rename(tmp_path / "case1" / "kidney_lefd.nii.gz")
    (tmp_path / "case2" / "kidney_left.nii.gz").rename(tmp_path / "case2" / "Kidney-left.nii.gz")
    for n in range(4):
        noise = np.random.default_rng(n).normal(size=SHAPE).astype(np.float32)
        volume(tmp_path / f"{image.format(n=n)}.nii.gz", noise)
    result = scan(tmp_path)
    assert result.classes == ("background", "Liver", "kidney_lefd", "kidney_left")
    assert [case.source for case in result.cases] == [
        f"{image.format(n=n)}.nii.gz" for n in range(4)
    ]
    assert [case.has_label for case in result.cases] == [True, True, True, False]
    codes = [
        np.unique(label).tolist()
        for n in range(3)
        if (label := result.cases[n].read().label) is not None
    ]
    assert codes == [[0, 1, 3], [0, 1, 2], [0, 1, 3]]
    assert any("beside the image of each folder" in note for note in result.notes)
    assert any("if kidney_lefd and kidney_left are one structure" in note for note in result.notes)


def test_two_images_in_a_folder_one_of_them_with_its_name(tmp_path: Path) -> None:
    source(tmp_path, "case{n}/{word}", ("t1",), {"lesion": 2})
    for n in range(4):
        noise = np.random.default_rng(n).normal(size=SHAPE).astype(np.float32)
        volume(tmp_path / f"case{n}" / f"case{n}.nii.gz", noise)
    with pytest.raises(
        UserError, match=r"lesion look like masks.*2 images .*like their folder, t1"
    ):
        scan(tmp_path)
