"""Outlines are told from filled masks and from structures that are thin by nature."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from semiseg.data.outlines import outline_growth

Mask = NDArray[np.bool_]
CROSS, SQUARE = ndimage.generate_binary_structure(2, 1), np.ones((3, 3), bool)


def blob(radius: float, centre: tuple[float, float] = (48, 48), wave: float = 0.15) -> Mask:
    """A filled shape in 96 x 96 pixels whose radius varies by ``wave``."""
    rows, columns = np.mgrid[:96, :96]
    down, right = rows - centre[0], columns - centre[1]
    angle = np.arctan2(down, right)
    return np.hypot(down, right) <= radius * (1 + wave * np.sin(3 * angle + radius))


def line(mask: Mask, width: int = 1, structure: Any = CROSS) -> Mask:
    return mask & ~ndimage.binary_erosion(mask, structure, width)


def found(*masks: Mask) -> dict[int, float]:
    """The outlines among classes 1, 2, ..., of which later ones cover earlier ones."""
    label = np.zeros((1, 96, 96), np.uint8)
    for code, mask in enumerate(masks, start=1):
        label[0, mask] = code
    return outline_growth(label, len(masks))


@pytest.mark.parametrize("structure", [CROSS, SQUARE], ids=["corners", "edges"])
@pytest.mark.parametrize("radius", [8, 15, 30])
def test_lines_of_one_pixel(radius: float, structure: Any) -> None:
    whole = blob(radius)
    drawn = line(whole, 1, structure)
    assert found(drawn) == {1: pytest.approx(whole.sum() / drawn.sum())}
    filled = ndimage.binary_fill_holes(drawn)
    assert (filled == whole).all()
    assert found(whole) == {}


@pytest.mark.parametrize(("width", "radius"), [(2, 36), (2, 44)])
def test_lines_of_a_pen(width: int, radius: float) -> None:
    assert found(line(blob(radius, wave=0.02), width)) != {}


def test_several_lesions_nested_structures_and_volumes() -> None:
    lesions = blob(12, (20, 20)) | blob(10, (70, 30)) | blob(15, (60, 70))
    assert found(line(lesions)).keys() == {1}
    inner, outer = blob(12), blob(35)
    assert found(line(outer), line(inner)).keys() == {1, 2}
    assert found(line(outer), inner & ~line(outer)) == found(line(outer), inner)
    assert found(line(outer), inner).keys() == {1}  # the other class is filled
    label = np.zeros((4, 96, 96), np.uint8)
    for index, radius in enumerate((10, 20, 15)):
        label[index] = line(blob(radius))
    assert outline_growth(label, 2).keys() == {1}


def test_myocardium_surrounds_another_class() -> None:
    cavity = blob(12)
    wall = ndimage.binary_dilation(cavity, iterations=1) & ~cavity
    assert found(wall, cavity) == {}
    assert found(wall).keys() == {1}  # the same ring around background


@pytest.mark.parametrize(("radius", "wall"), [(15, 2), (20, 2), (18, 3), (30, 4), (34, 4)])
def test_walls_of_vessels_and_organs(radius: float, wall: int) -> None:
    lumen = blob(radius, wave=0.05)
    assert found(ndimage.binary_dilation(lumen, CROSS, wall) & ~lumen) == {}


@pytest.mark.parametrize("width", [1, 2, 4])
def test_vessels_that_cross(width: int) -> None:
    rows, columns = np.mgrid[:96, :96]
    mask = np.zeros((96, 96), bool)
    for start in (10, 38, 66):
        mask |= np.abs(rows - start - 8 * np.sin(columns / 9)) < width / 2 + 0.25
        mask |= np.abs(columns - start - 8 * np.sin(rows / 11)) < width / 2 + 0.25
    assert ndimage.binary_fill_holes(mask).sum() > 1.8 * mask.sum()
    assert found(mask) == {}


def test_a_mesh_of_membranes() -> None:
    cells = np.random.default_rng(0).uniform(4, 92, (40, 2))
    rows, columns = np.mgrid[:96, :96]
    nearest = np.argmin(
        (rows[..., None] - cells[:, 0]) ** 2 + (columns[..., None] - cells[:, 1]) ** 2, axis=-1
    )
    mask = np.zeros((96, 96), bool)
    mask[:-1] |= nearest[1:] != nearest[:-1]
    mask[:, :-1] |= nearest[:, 1:] != nearest[:, :-1]
    assert found(mask) == {}


def test_a_frame_around_the_image_is_no_outline() -> None:
    for width in (1, 2):
        assert found(line(np.ones((96, 96), bool), width)) == {}
    inside = np.zeros((96, 96), bool)
    inside[8:88, 8:88] = True
    assert found(line(inside)).keys() == {1}


def test_ignored_pixels_are_no_background() -> None:
    whole, label = blob(20), np.zeros((1, 96, 96), np.uint8)
    label[0, whole] = 255
    label[0, line(whole)] = 1
    assert outline_growth(label, 1) == {}
    assert outline_growth(np.zeros((2, 8, 8), np.uint8), 3) == {}


def test_the_labels_of_acdc_are_filled() -> None:
    data = os.environ.get("SEMISEG_DATA")
    files = sorted(Path(data or "none", "acdc", "data").glob("patient*.h5"))[:3]
    if not files:
        pytest.skip("needs ACDC in SEMISEG_DATA")
    for file in files:
        with h5py.File(file) as archive:
            label = np.asarray(archive["label"], np.uint8)
        assert outline_growth(label, 3) == {}
        lines = np.zeros_like(label)
        for code in (1, 2, 3):
            for plane, out in zip(label, lines, strict=True):
                out[line(plane == code)] = code
        assert 3 in outline_growth(lines, 3)
