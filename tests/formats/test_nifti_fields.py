"""Fields of NIfTI headers that nibabel repairs or ignores: honoured, or refused in a sentence."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from semiseg.errors import UserError
from semiseg.formats import NIFTI, remarks
from semiseg.formats.base import Reference

VOXELS = np.arange(120, dtype=np.int16).reshape(6, 5, 4)


def write(path: Path, **fields: Any) -> Path:
    """A file of voxels of 2 x 2 x 5 (mm), with changed fields."""
    image = nibabel.Nifti1Image(VOXELS, np.diag([2.0, 2.0, 5.0, 1.0]))
    image.header.set_xyzt_units("mm")
    content = image.to_bytes()
    header = np.frombuffer(content[:348], nibabel.nifti1.header_dtype).copy()
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.tobytes() + content[348:])
    return path


@pytest.mark.parametrize(
    ("code", "factor"), [(0, 1.0), (2, 1.0), (3, 0.001), (2 | 8, 1.0), (3 | 16, 0.001)]
)
def test_the_unit_of_length_is_honoured(tmp_path: Path, code: int, factor: float) -> None:
    path = write(tmp_path / "a.nii", xyzt_units=code)
    volume = NIFTI.read_image(path)
    assert volume.spacing == pytest.approx((5 * factor, 2 * factor, 2 * factor))
    assert (remarks.UNITS in volume.remarks) == (factor != 1)
    mask = np.zeros((4, 6, 5), np.uint8)
    NIFTI.write_mask(tmp_path / "m.nii.gz", mask, Reference(volume, path, ("b", "a")))
    stored = nibabel.load(tmp_path / "m.nii.gz")
    assert int(stored.header["xyzt_units"]) == code  # the numbers and the unit of the image
    np.testing.assert_allclose(stored.affine, np.diag([2, 2, 5, 1]))
    NIFTI.read_label(tmp_path / "m.nii.gz", volume)


def test_metres_are_honoured_only_if_they_can_be_meant(tmp_path: Path) -> None:
    tiny = {"srow_x": [0.002, 0, 0, 0], "srow_y": [0, 0.002, 0, 0], "srow_z": [0, 0, 0.005, 0]}
    volume = NIFTI.read_image(write(tmp_path / "a.nii", xyzt_units=1, **tiny))
    assert volume.spacing == pytest.approx((5, 2, 2))
    with pytest.raises(UserError, match=r"voxels of 5,000 mm, because its unit is the metre"):
        NIFTI.read_image(write(tmp_path / "a.nii", xyzt_units=1))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"xyzt_units": 7}, "has the unknown unit 7"),
        ({"sform_code": 9}, "has the unknown sform_code 9"),
        ({"qform_code": -2}, "has the unknown qform_code -2"),
        ({"scl_slope": np.inf}, "has the intensity scale inf"),
        ({"scl_slope": 2, "scl_inter": np.nan}, "has the intensity scale 2 x"),
        ({"sform_code": 0, "qform_code": 0, "pixdim": [1, 0, 2, 5, 0, 0, 0, 0]}, "voxels of 0 x 2 x 5"),
        ({"sform_code": 0, "qform_code": 0, "pixdim": [1, -2, 2, 5, 0, 0, 0, 0]}, "voxels of -2 x 2"),
        ({"sform_code": 0, "qform_code": 1, "pixdim": [1, 2, 2, np.nan, 0, 0, 0, 0]}, "2 x nan mm"),
        ({"srow_z": [0, 0, 0, 0]}, "no valid spacing"),
        ({"srow_z": [0, 0, np.nan, 0]}, "no valid spacing"),
        ({"srow_z": [0, 0, 1e30, 0]}, "no valid spacing"),
        ({"datatype": 1, "bitpix": 1}, "holds single bits"),
        ({"datatype": 128, "bitpix": 24}, r"holds colours \(RGB24\)"),
        ({"datatype": 32, "bitpix": 64}, "holds complex numbers"),
        ({"datatype": 2047}, "cannot be read as a NIfTI image"),
        ({"vox_offset": 16}, "cannot be read as a NIfTI image"),
        ({"intent_code": 3006}, "is a CIFTI file"),
        ({"dim": [3, 6, 5, 3, 1, 1, 1, 1]}, "holds more bytes than the voxels"),
        ({"dim": [3, -6, 5, 4, 1, 1, 1, 1]}, "cannot be read as a NIfTI image|announces"),
        ({"sizeof_hdr": 347}, "cannot be read as a NIfTI image"),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_honoured_are_refused(
    tmp_path: Path, fields: dict[str, Any], sentence: str
) -> None:
    path = write(tmp_path / "a.nii", **fields)
    for read in (NIFTI.read_image, NIFTI.read_mask):
        with pytest.raises(UserError, match=sentence) as raised:
            read(path)
        assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("slope", "inter", "first"), [(0, 5, 0), (np.nan, 4, 0), (1, -1024, -1024), (-2, 3, 3)]
)
def test_the_intensity_scale(tmp_path: Path, slope: float, inter: float, first: float) -> None:
    """A slope of 0 or NaN means none, by the definition of NIfTI and by that of nibabel."""
    data, _ = NIFTI.load(write(tmp_path / "a.nii", scl_slope=slope, scl_inter=inter))
    assert data.ravel()[0] == first
    scale = slope if slope and np.isfinite(slope) else 1
    assert data.ravel()[1] - first == scale


def test_a_header_without_orientation_is_said(tmp_path: Path) -> None:
    volume = NIFTI.read_image(write(tmp_path / "a.nii", sform_code=0, qform_code=0))
    assert volume.remarks == {remarks.NO_ORIENTATION: "a.nii"}
    assert volume.spacing == (5, 2, 2)


def test_two_grids_are_said_and_sform_is_used(tmp_path: Path) -> None:
    volume = NIFTI.read_image(write(tmp_path / "a.nii", qform_code=1, qoffset_x=9.0))
    assert volume.remarks == {remarks.TWO_GRIDS: "a.nii"}
    assert volume.affine is not None
    assert volume.affine[0, 3] == 0
    assert NIFTI.read_image(write(tmp_path / "a.nii", qform_code=1)).remarks == {}


def test_pixdim_does_not_matter_beside_sform(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", pixdim=[1, -3, 0, 9, 0, 0, 0, 0], qform_code=0)
    assert NIFTI.read_image(path).spacing == (5, 2, 2)


def test_big_endian_files_and_nifti_2(tmp_path: Path) -> None:
    image = nibabel.Nifti2Image(VOXELS, np.diag([2.0, 2.0, 5.0, 1.0]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "two.nii.gz")
    assert NIFTI.read_image(tmp_path / "two.nii.gz").spacing == pytest.approx((0.005, 0.002, 0.002))
    big = nibabel.Nifti1Image(VOXELS, np.eye(4), nibabel.Nifti1Header(endianness=">"))
    big.header.set_xyzt_units("micron")
    nibabel.save(big, tmp_path / "big.nii")
    volume = NIFTI.read_image(tmp_path / "big.nii")
    assert remarks.UNITS in volume.remarks
    np.testing.assert_array_equal(volume.image[:, 0], np.moveaxis(VOXELS, 2, 0))
