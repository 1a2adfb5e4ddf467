"""NIfTI images and labels in, masks out on the grid of their image."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.images.sizes import check_announced
from semiseg.data.images.values import as_codes, compact, damaged, times
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import replacing

UNREADABLE = (OSError, EOFError, ValueError, OverflowError, zlib.error)
WORKING = 8  # bytes a voxel: scaled values, or a compact copy
CLEARLY_LARGER = 1.2  # a slice distance, as a multiple of the spacing within slices
GRID_TOLERANCE = 0.1  # how far two grids may lie apart, as a part of the smallest spacing


def slice_axis_of(shape: tuple[int, ...], spacing: tuple[float, ...]) -> int:
    """Which of three axes counts the slices.

    The one of a single voxel; else the one whose spacing is more than 1.2 times the others';
    else the last.
    """
    single = [axis for axis in range(3) if shape[axis] == 1]
    if len(single) == 1:
        return single[0]
    widest = int(np.argmax(spacing))
    others = [spacing[axis] for axis in range(3) if axis != widest]
    return widest if spacing[widest] > CLEARLY_LARGER * max(others) else 2


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
        image [D, C, H, W] int16 where exact, else float32; slices along :func:`slice_axis_of`.

    Raises:
        UserError: for a file that is unreadable, truncated, empty, constant, holds NaN, or has
            other axes.
    """
    path = Path(path)
    header, data = _load_nifti(path, time_point)
    data = _four_axes(data, path, channels)
    affine = np.asarray(header.affine, np.float64)
    source = _nifti_spacing(header, path)
    axis = slice_axis_of(data.shape, source)
    image = np.moveaxis(np.moveaxis(data, axis, 0), 3, 1)
    in_slice = [source[other] for other in range(3) if other != axis]
    spacing = (source[axis], in_slice[0], in_slice[1])
    return Volume(compact(image, path), None, spacing, affine, axis)


def read_nifti_label(path: Path | str, like: Volume) -> NDArray[np.uint8]:
    """Read the label of the image ``like``, with the same slice axis: [D, H, W].

    Raises:
        UserError: for an unreadable file, another shape or grid than the image's, or values that
            are no class codes.
    """
    path = Path(path)
    header, data = _load_nifti(path)
    data = _four_axes(data, path, 1)[..., 0]
    label = np.moveaxis(data, like.slice_axis, 0)
    depth, _, height, width = like.image.shape
    if label.shape != (depth, height, width):
        expected = np.moveaxis(np.empty((depth, height, width), bool), 0, like.slice_axis).shape
        raise UserError(
            f"{path} has shape {times(data.shape)} but its image has {times(expected)}: "
            "export the label on the image's grid."
        )
    if like.affine is not None:
        apart = _apart(np.asarray(header.affine, np.float64), like.affine, data.shape)
        smallest = min(like.spacing) if like.spacing else 1.0
        if not apart <= GRID_TOLERANCE * smallest:
            raise UserError(
                f"{path} lies up to {apart:.3g} mm away from its image (their affines differ): "
                "resample the label to the image's grid."
            )
    return as_codes(label, path)


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


def write_nifti_of_volume(path: Path | str, mask: NDArray[np.integer[Any]], volume: Volume) -> None:
    """Write class codes on the grid of a volume whose own file is of another format.

    Args:
        path: the .nii.gz file to write; never seen half-written.
        mask: [D, H, W] with the slices of ``volume``.
        volume: where the axes of its source are unknown, its spacing alone is kept.

    Raises:
        UserError: where the file cannot be written.
    """
    import nibabel

    affine = volume.affine
    codes = np.moveaxis(np.asarray(mask, np.uint8), 0, volume.slice_axis)
    if affine is None:
        sides = list(volume.spacing or (1.0, 1.0, 1.0))
        affine = np.diag([*sides[1:], sides[0], 1.0])
        codes = np.moveaxis(np.asarray(mask, np.uint8), 0, 2)
    with replacing(Path(path)) as partial:
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(codes), affine), partial)


def _write_nifti(path: Path, data: NDArray[Any], reference_path: Path, dtype: type) -> None:
    import nibabel

    reference = _open_nifti(reference_path)
    shape = (*reference.shape, 1, 1)[:3]
    axis = slice_axis_of(shape, _nifti_spacing(reference, reference_path))
    restored = np.moveaxis(np.moveaxis(data, 0, -1), 0, axis)
    if restored.shape[:3] != shape:
        raise UserError(
            f"{path}: a result of {times(restored.shape[:3])} voxels does not fit its image "
            f"{reference_path} of {times(shape)}: predict from that image."
        )
    if dtype is np.uint8:
        restored = restored[..., 0].reshape(reference.shape[:3])  # two axes stay two
    header = reference.header.copy()
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    with replacing(path) as partial:
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


def _load_nifti(path: Path, time_point: int | None = None) -> tuple[Any, NDArray[Any]]:
    header = _open_nifti(path)
    shape, itemsize = header.shape, header.get_data_dtype().itemsize
    announced = shape if time_point is None else (*shape[:3], time_point + 1)
    check_announced(
        path, announced, itemsize, compressed=path.suffix.lower() == ".gz", working=WORKING
    )
    try:
        proxy = header.dataobj
        return header, np.asanyarray(proxy if time_point is None else proxy[..., time_point])
    except UNREADABLE:
        raise damaged(path, "a NIfTI image") from None


def _four_axes(data: NDArray[Any], path: Path, channels: int) -> NDArray[Any]:
    """[X, Y], [X, Y, Z] or [X, Y, Z, C] as [X, Y, Z, C]."""
    shape = data.shape
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim == 2:
        data = data[..., None]
    if data.ndim == 3 and channels == 1:
        return data[..., None]
    if data.ndim == 4 and data.shape[3] == channels:
        return data
    if data.ndim < 3 or channels > 1:
        raise UserError(
            f"{path} has shape {times(shape)}, not 3 axes and {channels} channels: export it so."
        )
    raise UserError(
        f"{path} has {data.ndim} axes ({times(shape)}) where a 3D image is meant: "
        "save each time point or channel as its own 3D file."
    )


def _nifti_spacing(header: Any, path: Path) -> tuple[float, float, float]:
    spacing = np.linalg.norm(np.asarray(header.affine, np.float64)[:3, :3], axis=0)
    if not (np.isfinite(header.affine).all() and (spacing > 0).all()):
        raise UserError(f"{path} has no valid spacing in its header: repair the affine.")
    # Headers are float32: 0.7 stays 0.7 in what people read.
    first, second, third = (float(f"{value:.6g}") for value in spacing)
    return first, second, third


def _apart(one: NDArray[Any], other: NDArray[Any], shape: tuple[int, ...]) -> float:
    """The largest distance in mm between equal corners of two grids."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape[:3]) - 1)
    homogeneous = np.concatenate([corners, np.ones((8, 1))], axis=1)
    return float(np.linalg.norm(homogeneous @ (one - other)[:3].T, axis=1).max())
