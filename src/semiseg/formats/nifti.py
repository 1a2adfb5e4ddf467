"""NIfTI images and labels in, masks out on the grid of their image."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import atomic_output
from semiseg.formats.base import Reference
from semiseg.formats.grid import (
    Affine,
    as_volume,
    check_result,
    slice_axis_of,
    spacing_of,
    stored_order,
)
from semiseg.formats.sizes import check_announced
from semiseg.formats.values import damaged
from semiseg.formats.volume_format import VolumeFormat

UNREADABLE = (OSError, EOFError, ValueError, OverflowError, zlib.error)
WORKING = 8  # bytes a voxel: scaled values, or a compact copy


class Nifti(VolumeFormat):
    """NIfTI through nibabel; ``.nii`` may be compressed."""

    name = "NIfTI"
    suffixes = (".nii", ".nii.gz")

    def load(self, path: Path) -> tuple[NDArray[Any], Affine]:
        """The voxels in the file's axes, and the affine."""
        return load_nifti(path)

    def mask_suffix(self, path: Path) -> str:
        """Masks are compressed, also where their image is not."""
        return ".nii.gz"

    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write with the header of the image's NIfTI file; else by the geometry of the volume."""
        if like.path is not None and self.recognises(like.path):
            return write_nifti_mask(path, mask, like.path)
        axis, affine = _geometry(like)
        codes = stored_order(np.asarray(mask, np.uint8)[None], axis)[..., 0]
        return write_nifti(path, np.ascontiguousarray(codes), affine)

    def write_probabilities(
        self, path: Path, probabilities: NDArray[np.floating[Any]], like: Reference
    ) -> None:
        """Write float32 with a fourth axis for the classes."""
        if like.path is not None and self.recognises(like.path):
            return write_nifti_probabilities(path, probabilities, like.path)
        axis, affine = _geometry(like)
        return write_nifti(path, stored_order(np.asarray(probabilities, np.float32), axis), affine)


NIFTI = Nifti()


def time_points(path: Path | str) -> int:
    """How many 3D images a 4D file holds; reads the header only.

    Raises:
        UserError: for a file that is unreadable, or has no fourth axis.
    """
    shape = _open_nifti(Path(path)).shape
    if len(shape) != 4:
        raise UserError(f"{path} has {len(shape)} axes where a series of 3D images is meant.")
    return int(shape[3])


def read_nifti(path: Path | str, channels: int = 1, time_point: int | None = None) -> Volume:
    """Read an image (no label) with its geometry.

    Args:
        path: a .nii or .nii.gz file; two axes (one slice) or three, and a fourth for channels.
        channels: what the fourth axis must count; with 1 it may be absent.
        time_point: this one (from 0) of a series, whose fourth axis is time; no other is read.

    Returns:
        image [D, C, H, W] as :func:`semiseg.formats.grid.as_volume` makes it.

    Raises:
        UserError: for a file that is unreadable, truncated, empty, constant, holds NaN, or has
            other axes.
    """
    path = Path(path)
    return as_volume(*load_nifti(path, time_point), path, channels)


def load_nifti(path: Path, time_point: int | None = None) -> tuple[NDArray[Any], Affine]:
    """The voxels in the file's axes, and the affine (RAS, mm).

    Raises:
        UserError: for a file that is unreadable, or would take absurdly more memory than its size.
    """
    header = _open_nifti(path)
    announced = header.shape if time_point is None else (*header.shape[:3], time_point + 1)
    check_announced(
        path, announced, header.get_data_dtype().itemsize,
        compressed=path.suffix.lower() == ".gz", working=WORKING,
    )  # fmt: skip
    try:
        proxy = header.dataobj
        data = np.asanyarray(proxy if time_point is None else proxy[..., time_point])
    except UNREADABLE:
        raise damaged(path, "a NIfTI image") from None
    return data, np.asarray(header.affine, np.float64)


def orientation(affine: NDArray[np.float64]) -> str:
    """Where the source's axes point, such as ``RAS``."""
    import nibabel

    return "".join(code or "?" for code in nibabel.aff2axcodes(affine))


def write_nifti_mask(
    path: Path | str, mask: NDArray[np.integer[Any]], reference_path: Path | str
) -> None:
    """Write class codes on the grid, affine and header of the image they were predicted from.

    Args:
        path: the .nii or .nii.gz file to write; never seen half-written.
        mask: [D, H, W] with the slices of :func:`read_nifti`.
        reference_path: the image.

    Raises:
        UserError: where the shapes differ or the file cannot be written.
    """
    _write_nifti(Path(path), np.asarray(mask, np.uint8)[None], Path(reference_path), np.uint8)


def write_nifti_probabilities(
    path: Path | str, probabilities: NDArray[np.floating[Any]], reference_path: Path | str
) -> None:
    """Write [K, D, H, W] probabilities as a float32 file of four axes, the classes last.

    Raises:
        UserError: where the shapes differ or the file cannot be written.
    """
    data = np.asarray(probabilities, np.float32)
    _write_nifti(Path(path), data, Path(reference_path), np.float32)


def write_nifti(path: Path | str, data: NDArray[Any], affine: Affine) -> None:
    """Write an array of a file's own axes that had no NIfTI file before.

    Args:
        path: the .nii or .nii.gz file to write; never seen half-written.
        data: [X, Y, Z] or [X, Y, Z, K], written in its dtype.
        affine: voxel to RAS in mm.

    Raises:
        UserError: where the file cannot be written.
    """
    import nibabel

    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    with atomic_output(Path(path)) as partial:
        nibabel.save(image, partial)


def _geometry(like: Reference) -> tuple[int, Affine]:
    """The axis of the slices and the affine of an image that has no NIfTI file."""
    if like.volume.affine is not None:
        return like.volume.slice_axis, like.volume.affine
    # HDF5 and pictures carry no affine: the spacing is all that is known
    between, row, column = like.volume.spacing or (1.0, 1.0, 1.0)
    return 2, np.diag([row, column, between, 1.0])


def _write_nifti(path: Path, data: NDArray[Any], reference_path: Path, dtype: type) -> None:
    import nibabel

    reference = _open_nifti(reference_path)
    shape = (*reference.shape, 1, 1)[:3]
    affine = np.asarray(reference.affine, np.float64)
    restored = stored_order(data, slice_axis_of(shape, spacing_of(affine, reference_path)))
    check_result(restored.shape[:3], shape, path, reference_path)
    if dtype is np.uint8:
        restored = restored[..., 0].reshape(reference.shape[:3])  # two axes stay two
    header = reference.header.copy()
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    with atomic_output(path) as partial:
        image = type(reference)(np.ascontiguousarray(restored), reference.affine, header)
        nibabel.save(image, partial)


def _open_nifti(path: Path) -> Any:
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    if not path.is_file():
        raise UserError(f"{path} does not exist: check the path.")
    # It would tell of every repaired header field, without the file's name.
    nibabel.imageglobals.logger.setLevel("CRITICAL")
    try:
        return nibabel.load(path)
    except (*UNREADABLE, ImageFileError, HeaderDataError):
        raise damaged(path, "a NIfTI image") from None
