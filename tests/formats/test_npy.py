"""``.npy`` files as masks and images: axes, values, damage, preparation, results and scores."""

import pickle
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from semiseg.console import Quiet
from semiseg.datasets import detect
from semiseg.datasets.base import Options, Scan
from semiseg.errors import UserError
from semiseg.formats import NPY
from semiseg.formats.base import Reference
from semiseg.formats.header import read_header
from semiseg.formats.masks import read_picture_mask
from semiseg.workflows.compare import compare
from semiseg.workflows.prepare import prepare

CODES = np.zeros((16, 20), np.int64)
CODES[2:9, 3:8], CODES[4:12, 12:18] = 1, 2
STACK = np.stack([np.roll(CODES, shift, 0) for shift in range(5)])


def saved(path: Path, array: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def scan(folder: Path) -> Scan:
    return detect(folder)[0].scan(folder, Options())


@pytest.mark.parametrize("dtype", ["uint8", "int64", "uint16", "float32", ">i4"])
@pytest.mark.parametrize("codes", [CODES, CODES[..., None], STACK, np.asfortranarray(CODES)])
def test_masks_of_class_codes(tmp_path: Path, codes: np.ndarray[Any, Any], dtype: str) -> None:
    path = saved(tmp_path / "m.npy", codes.astype(dtype))
    expected = codes[..., 0] if codes.shape[-1] == 1 else codes
    assert np.array_equal(read_picture_mask(path).codes, expected)


def test_masks_of_two_values(tmp_path: Path) -> None:
    for values in (CODES > 0, 255 * (CODES > 0).astype(np.uint8)):
        found = read_picture_mask(saved(tmp_path / "m.npy", values))
        assert np.array_equal(found.codes, CODES > 0)


def test_images_of_each_form(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for shape, expected in {
        (8, 9): (1, 1, 8, 9),
        (5, 8, 9): (5, 1, 8, 9),
        (8, 9, 3): (1, 3, 8, 9),
    }.items():
        array = rng.integers(0, 256, shape).astype(np.uint8)
        image = NPY.read_image(saved(tmp_path / "i.npy", array), None).image
        assert image.shape == expected
        assert np.array_equal(np.moveaxis(image, 1, 3).reshape(shape), array)
    deep = saved(tmp_path / "d.npy", rng.integers(-900, 900, (8, 9)).astype(np.int16))
    assert read_header(deep).deep
    assert NPY.read_image(deep).image.dtype == np.int16


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4, 5)), r"shape 2 x 3 x 4 x 5: save rows x columns"),
        (np.zeros(7), r"shape 7: save rows"),
        (np.zeros((0, 4)), r"shape 0 x 4"),
        (np.zeros((3, 8, 8), np.uint8), r"3 x 8 x 8, which may be slices, colours or classes"),
        (np.zeros((8, 8, 4), np.uint8), r"8 x 8 x 4, which may be"),
        (np.array(["a", "b"]), r"has <U1 values"),
        (np.zeros((4, 4), complex), r"has complex128 values"),
        (np.array({"masks": CODES}, dtype=object), r"pickled objects, which are not loaded"),
        (np.array([[-1, 1]]), r"values from -1 to 1, which are no class codes"),
        (np.array([[0, np.nan]]), r"values from 0 to nan"),
        (np.array([[0, 0.5, 1]]), r"not whole numbers"),
    ],
)
def test_arrays_that_are_no_masks(
    tmp_path: Path, array: np.ndarray[Any, Any], message: str
) -> None:
    path = saved(tmp_path / "m.npy", array)
    with pytest.raises(UserError, match=message) as raised:
        read_picture_mask(path)
    assert str(path) in str(raised.value)


def test_pickles_run_nothing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "harm",))

    (tmp_path / "p.npy").write_bytes(pickle.dumps(Harm()))
    whole = saved(tmp_path / "w.npy", CODES).read_bytes()
    for name, content in {
        "cut": whole[:-1], "long": whole + b"\0", "empty": b"", "head": whole[:9], "text": b"none",
        "huge": whole.replace(b"(16, 20)", b"(9999999, 20)"),
    }.items():  # fmt: skip
        (tmp_path / f"{name}.npy").write_bytes(content)
    for name in ("p", "cut", "long", "empty", "head", "text", "huge"):
        with pytest.raises(UserError, match=rf"{name}\.npy"):
            read_picture_mask(tmp_path / f"{name}.npy")
    assert not (tmp_path / "harm").exists()


def test_a_result_has_the_axes_of_its_image(tmp_path: Path) -> None:
    for array in (CODES, STACK):
        image = saved(tmp_path / "i.npy", array.astype(np.int16))
        volume = NPY.read_image(image)
        target = tmp_path / f"m{NPY.mask_suffix(image)}"
        codes = array.reshape(volume.image.shape[0], *array.shape[-2:]).astype(np.uint8)
        NPY.write_mask(target, codes, Reference(volume, image, ("background", "a", "b")))
        assert np.array_equal(np.load(target, allow_pickle=False), array)
        assert np.array_equal(NPY.read_mask(target).codes, codes)


def test_masks_of_pictures_are_prepared_and_scored(tmp_path: Path) -> None:
    for n in range(6):
        pixels = np.random.default_rng(n).integers(0, 256, (16, 20)).astype(np.uint8)
        path = tmp_path / f"s/images/u{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        saved(tmp_path / f"s/masks/u{n}.npy", CODES)
    manifest = prepare(tmp_path / "s", tmp_path / "data", console=Quiet())
    assert len(manifest.task.classes) == 3
    assert all(case.labelled for case in manifest.cases)
    label = np.load(tmp_path / "data" / "labels" / "u2.npy")
    assert np.array_equal(label[0], CODES)
    result = compare(tmp_path / "s/masks", tmp_path / "s/masks", console=Quiet())
    assert (result.cases, {row.dice for row in result.scores}) == (6, {1.0})


def test_labels_of_volumes_need_a_position(tmp_path: Path) -> None:
    for n in range(3):
        path = tmp_path / f"images/v{n}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(n).normal(size=(8, 8, 4)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), path)
        saved(tmp_path / f"masks/v{n}.npy", np.ones((8, 8, 4), np.uint8))
    with pytest.raises(
        UserError, match=r"no label.*3 \.npy, such as masks/v0\.npy.*NIfTI, NRRD or MetaImage"
    ):
        prepare(tmp_path, tmp_path.parent / "out", console=Quiet())
