"""Reading NIfTI images and labels, and writing masks on the grid of their image."""

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import atomic_output, check_file
from semiseg.formats.base import Reference
from semiseg.formats.grid import (
    Affine,
    as_volume,
    check_result,
    slice_axis_of,
    spacing_of,
    stored_order,
)
from semiseg.formats.nifti_header import check_fields, remarks_of, stored_header, units_of
from semiseg.formats.remarks import with_remarks
from semiseg.formats.sizes import check_announced
from semiseg.formats.values import damaged, reading
from semiseg.formats.volume_format import VolumeFormat
from semiseg.formats.whole import check_end, check_gzip, check_rest

WHAT = "a NIfTI image"
WORKING = 4  # bytes per voxel: a compact copy
SCALING = 12  # bytes per voxel of a file with an intensity scale: two arrays in double precision


class Nifti(VolumeFormat):
    """NIfTI through nibabel; ``.nii`` may be compressed."""

    name = "NIfTI"
    suffixes = (".nii", ".nii.gz")

    def load(self, path: Path) -> tuple[NDArray[Any], Affine]:
        """The voxels in the file's axes, and the affine."""
        return load_nifti(path)

    def remarks(self, path: Path) -> dict[str, str]:
        """What is unusual in the header."""
        return nifti_remarks(path)

    def mask_suffix(self, path: Path) -> str:
        """Masks are always compressed."""
        return ".nii.gz"

    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write with the header of the image's NIfTI file, or with the geometry of the volume."""
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
    """The number of 3D images in a 4D file; reads only the header.

    Raises:
        UserError: for a file that is unreadable or does not have four axes.
    """
    shape = _open_nifti(Path(path)).shape
    if len(shape) != 4:
        raise UserError(
            f"{path} has {len(shape)} axes: copy the 4D file of the series, which has 4."
        )
    return int(shape[3])


def read_nifti(path: Path | str, channels: int = 1, time_point: int | None = None) -> Volume:
    """Read an image with its geometry, without a label.

    Args:
        path: a .nii or .nii.gz file with two axes (one slice) or three, and a fourth for channels.
        channels: length of the fourth axis; with 1 it may be absent.
        time_point: index in a series whose fourth axis is time; only this image is read.

    Returns:
        image [D, C, H, W], made by :func:`semiseg.formats.grid.as_volume`.

    Raises:
        UserError: for a file that is unreadable, truncated, empty, constant, contains NaN, or has
            other axes.
    """
    path = Path(path)
    volume = as_volume(*load_nifti(path, time_point), path, channels)
    return with_remarks(volume, nifti_remarks(path))


def load_nifti(path: Path, time_point: int | None = None) -> tuple[NDArray[Any], Affine]:
    """The voxels in the file's axes, and the affine (RAS, mm).

    Raises:
        UserError: for a file that is unreadable, damaged anywhere, too small for its announced size,
            or whose header does not say what its voxels mean.
    """
    image = _open_nifti(path)
    compressed = path.suffix.lower() == ".gz"
    announced = image.shape if time_point is None else (*image.shape[:3], time_point + 1)
    scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
    check_announced(
        path, announced, image.get_data_dtype().itemsize, compressed=compressed,
        working=WORKING + SCALING * scaled,
    )  # fmt: skip
    with reading(path, WHAT):
        if time_point is not None:
            if compressed:
                check_gzip(path)
            data = np.asanyarray(image.dataobj[..., time_point])
        elif compressed:
            data = _decompressed(path, type(image))
        else:
            data = np.asanyarray(image.dataobj)
            check_end(path, image.dataobj.offset + _bytes(image))
    affine = np.asarray(image.affine, np.float64)
    header = stored_header(path)
    affine[:3] *= units_of(header, affine, path)
    return data, affine


def nifti_remarks(path: Path) -> dict[str, str]:
    """What is unusual in the header of an image that was read (see `semiseg.formats.remarks`)."""
    return remarks_of(stored_header(path), _open_nifti(path), path)


def _decompressed(path: Path, kind: Any) -> NDArray[Any]:
    """The voxels of a compressed file; reads it to the end, where its checksum is."""
    with gzip.open(path) as file:
        image = kind.from_stream(file)
        data = np.asanyarray(image.dataobj)
        file.seek(image.dataobj.offset + _bytes(image))
        check_rest(file, path)
    return data


def _bytes(image: Any) -> int:
    return int(math.prod(image.shape) * image.get_data_dtype().itemsize)


def orientation(affine: NDArray[np.float64]) -> str:
    """Directions of the source's axes, such as ``RAS``."""
    import nibabel

    return "".join(code or "?" for code in nibabel.aff2axcodes(affine))


def write_nifti_mask(
    path: Path | str, mask: NDArray[np.integer[Any]], reference_path: Path | str
) -> None:
    """Write class codes with the grid, affine and header of the image they were predicted from.

    Args:
        path: the .nii or .nii.gz file to write (atomically).
        mask: [D, H, W] with the slices of :func:`read_nifti`.
        reference_path: the image.

    Raises:
        UserError: if the shapes differ or the file cannot be written.
    """
    _write_nifti(Path(path), np.asarray(mask, np.uint8)[None], Path(reference_path), np.uint8)


def write_nifti_probabilities(
    path: Path | str, probabilities: NDArray[np.floating[Any]], reference_path: Path | str
) -> None:
    """Write probabilities [K, D, H, W] as a float32 file with four axes, the classes last.

    Raises:
        UserError: if the shapes differ or the file cannot be written.
    """
    data = np.asarray(probabilities, np.float32)
    _write_nifti(Path(path), data, Path(reference_path), np.float32)


def write_nifti(path: Path | str, data: NDArray[Any], affine: Affine) -> None:
    """Write an array as a new NIfTI file.

    Args:
        path: the .nii or .nii.gz file to write (atomically).
        data: [X, Y, Z] or [X, Y, Z, K], written in its dtype.
        affine: voxel to RAS in mm.

    Raises:
        UserError: if the file cannot be written.
    """
    import nibabel

    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    with atomic_output(Path(path)) as partial:
        nibabel.save(image, partial)


def _geometry(like: Reference) -> tuple[int, Affine]:
    """The slice axis and the affine of an image that is not from a NIfTI file."""
    if like.volume.affine is not None:
        return like.volume.slice_axis, like.volume.affine
    # HDF5 and pictures have no affine: only the spacing is known
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

    check_file(path)
    # nibabel would log every repaired header field, without the file's name.
    nibabel.imageglobals.logger.setLevel("CRITICAL")
    with reading(path, WHAT):
        header = stored_header(path)
        if header is None:
            raise damaged(path, WHAT)
        check_fields(header, path)
        return nibabel.load(path)
