"""Voxel arrays with an affine, independent of the format: axes, spacing and grids."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.manifest import Case
from semiseg.data.task import is_possible
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.remarks import SHEARED, with_remarks
from semiseg.formats.values import as_codes, compact
from semiseg.text import times

CLEARLY_LARGER = 1.2  # distance of slices, as a multiple of the spacing within slices
RIGHT_ANGLE = 1e-3  # largest cosine of the angle between two axes at right angles
FLAT = 1e-4  # smallest volume of a voxel, relative to one with right angles
GRID_TOLERANCE = 0.1  # largest distance of two equal grids, as a fraction of the smallest spacing

Affine = NDArray[np.float64]


def slice_axis_of(shape: tuple[int, ...], spacing: tuple[float, ...]) -> int:
    """Which of the three axes is that of the slices.

    The axis with a single voxel; else the one whose spacing is more than 1.2 times that of the
    others; else the last.
    """
    single = [axis for axis in range(3) if shape[axis] == 1]
    if len(single) == 1:
        return single[0]
    widest = int(np.argmax(spacing))
    others = [spacing[axis] for axis in range(3) if axis != widest]
    return widest if spacing[widest] > CLEARLY_LARGER * max(others) else 2


def as_volume(data: NDArray[Any], affine: Affine, path: Path, channels: int = 1) -> Volume:
    """Convert an image with the axes X, Y, Z and (for channels) a fourth to a volume.

    Args:
        data: [X, Y], [X, Y, Z] or [X, Y, Z, C].
        affine: voxel to RAS in mm.
        path: the file, for errors.
        channels: length of the fourth axis; with 1 it may be absent.

    Returns:
        image [D, C, H, W] int16 if exact, else float32; slices along :func:`slice_axis_of`.

    Raises:
        UserError: for other axes, an invalid spacing, and as in :func:`compact`.
    """
    data = four_axes(data, path, channels)
    source = spacing_of(affine, path)
    axis = slice_axis_of(data.shape, source)
    image = np.moveaxis(np.moveaxis(data, axis, 0), 3, 1)
    volume = Volume(compact(image, path), None, slices_first(source, axis), affine, axis)
    return with_remarks(volume, {SHEARED: path.name} if is_sheared(affine) else {})


def as_label(
    data: NDArray[Any],
    affine: Affine,
    path: Path,
    like: Volume,
    remedy: str = ", or use --trust-grid image",
) -> NDArray[np.uint8]:
    """The label of the image ``like``, with the same slice axis: [D, H, W].

    Args:
        data, affine: the label as it was read.
        path: its file, for errors.
        like: the image.
        remedy: what else can be done about a wrong header, as the end of an error.

    Raises:
        UserError: for a shape or grid that differs from the image's, or values that are not class
            codes.
    """
    data = four_axes(data, path, 1)[..., 0]
    label = np.moveaxis(data, like.slice_axis, 0)
    depth, _, height, width = like.image.shape
    if label.shape != (depth, height, width):
        expected = np.moveaxis(np.empty((depth, height, width), bool), 0, like.slice_axis).shape
        raise UserError(
            f"{path} has shape {times(data.shape)} but its image has {times(expected)}: "
            "export the label on the image's grid."
        )
    if like.affine is not None:
        away = apart(affine, like.affine, data.shape)
        if not away <= grid_tolerance(like):
            if is_lost(affine, like.affine):
                raise UserError(
                    f"{path} has the shape of its image but no position (its header is lost): if its voxels "
                    f"are those of the image, copy the image's header to it{remedy}."
                )
            raise UserError(
                f"{path} is up to {away:.3g} mm away from its image (their affines differ): resample the "
                f"label to the image's grid, or, if only its header is wrong, copy the image's{remedy}."
            )
    return as_codes(label, path)


def grid_tolerance(like: Volume) -> float:
    """The largest distance in mm of a grid that counts as equal to that of ``like``."""
    return GRID_TOLERANCE * (min(like.spacing) if like.spacing else 1.0)


def is_lost(affine: Affine, image: Affine) -> bool:
    """Whether an affine is one that programs write without a header, though the image has a position.

    It is diagonal, at the origin, and of steps of 1 mm or of an image that is not at the origin.
    """
    steps = np.abs(affine[:3, :3])
    bare = not affine[:3, 3].any() and np.count_nonzero(steps) == np.count_nonzero(steps.diagonal())
    return bare and (bool((steps.diagonal() == 1).all()) or bool(image[:3, 3].any()))


def stored_order(data: NDArray[Any], axis: int) -> NDArray[Any]:
    """[K, D, H, W], whose slices are those of ``axis``, as [X, Y, Z, K]."""
    return np.moveaxis(np.moveaxis(data, 0, -1), 0, axis)


def check_result(shape: tuple[int, ...], image: tuple[int, ...], path: Path, source: Path) -> None:
    """Check that a result has the shape of the image that it was predicted from.

    Raises:
        UserError: if the shapes differ.
    """
    if shape != image:
        raise UserError(
            f"{path}: a result of {times(shape)} voxels does not fit its image "
            f"{source} of {times(image)}: predict from that image."
        )


def four_axes(data: NDArray[Any], path: Path, channels: int) -> NDArray[Any]:
    """[X, Y], [X, Y, Z] or [X, Y, Z, C] as [X, Y, Z, C].

    Raises:
        UserError: for other axes or another number of channels.
    """
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
            f"{path} has shape {times(shape)}: export 3 axes and, as a fourth, {channels} channels."
        )
    raise UserError(
        f"{path} has {data.ndim} axes ({times(shape)}) instead of 3: "
        "save each time point or channel as its own 3D file."
    )


def spacing_of(affine: Affine, path: Path) -> tuple[float, float, float]:
    """The spacing of the source's three axes in mm.

    Raises:
        UserError: if the affine is singular or not finite, or if a step is not possible.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and is_possible(spacing)) or _is_flat(affine, spacing):
        raise UserError(f"{path} has no valid spacing in its header: repair the affine.")
    # Headers are float32: round so that 0.7 is shown as 0.7.
    first, second, third = (float(f"{value:.6g}") for value in spacing)
    return first, second, third


def _is_flat(affine: Affine, spacing: NDArray[np.float64]) -> bool:
    """Whether two axes have the same direction, or all three lie in one plane."""
    return bool(abs(np.linalg.det(affine[:3, :3] / spacing)) < FLAT)


def is_sheared(affine: Affine) -> bool:
    """Whether two axes of a grid are not at right angles, as after a tilt of the CT gantry."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() > RIGHT_ANGLE)


def steps_of(
    spacing: tuple[float, float, float] | None, affine: Affine | None, slice_axis: int
) -> tuple[float, float, float] | NDArray[np.float64] | None:
    """What distances and volumes are computed with: the spacing, or the steps of a sheared grid.

    Args:
        spacing: (slice, row, column) in mm.
        affine: voxel of the source to mm.
        slice_axis: the source's axis of the slices.

    Returns:
        For a sheared grid [3, 3] the steps in mm along slices, rows and columns, one in each column.
        A spacing that is not that of the affine was given by the user and is returned as it is.
    """
    if spacing is None or affine is None or not is_sheared(affine):
        return spacing
    order = [slice_axis, *(axis for axis in range(3) if axis != slice_axis)]
    steps = affine[:3, order]
    own = bool(np.allclose(np.linalg.norm(steps, axis=0), spacing, rtol=1e-3))
    return steps if own else spacing


def steps_of_case(case: Case) -> tuple[float, float, float] | NDArray[np.float64] | None:
    """:func:`steps_of` of a prepared case."""
    affine = None if case.affine is None else np.array(case.affine, np.float64)
    return steps_of(case.spacing, affine, case.slice_axis)


def voxel_volume(steps: tuple[float, float, float] | NDArray[np.float64]) -> float:
    """The volume of a voxel in cubic mm, from what :func:`steps_of` returns."""
    array = np.asarray(steps, np.float64)
    return float(abs(np.linalg.det(array)) if array.ndim == 2 else array.prod())


def slices_first(spacing: tuple[float, float, float], axis: int) -> tuple[float, float, float]:
    """The source's spacing as (slice, row, column)."""
    row, column = (spacing[other] for other in range(3) if other != axis)
    return spacing[axis], row, column


def apart(one: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """The largest distance in mm between corresponding corners of two grids."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape[:3]) - 1)
    homogeneous = np.concatenate([corners, np.ones((8, 1))], axis=1)
    return float(np.linalg.norm(homogeneous @ (one - other)[:3].T, axis=1).max())


def onto_grid(
    data: NDArray[Any], affine: Affine, target: Affine, shape: tuple[int, ...]
) -> NDArray[Any] | None:
    """Move voxels to the grid ``target`` by permuting, mirroring, cropping and padding axes.

    Nothing is interpolated; voxels that ``data`` does not cover are 0.

    Args:
        data: [I, J, K] values with ``affine``.
        affine: affine of ``data``, voxel to mm.
        target: affine of the other grid.
        shape: shape of the other grid.

    Returns:
        An array of ``shape``, or None if the voxels of the two grids do not coincide, or if values
        other than 0 are outside the other grid.
    """
    step = np.linalg.inv(target) @ affine
    whole = np.rint(step)
    turn = whole[:3, :3].astype(int)
    one_each = (np.abs(turn).sum(0) == 1).all() and (np.abs(turn).sum(1) == 1).all()
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(data.shape) - 1)
    away = np.abs(np.c_[corners, np.ones(8)] @ (step - whole).T).max()
    if not (one_each and away <= GRID_TOLERANCE):
        return None
    order = [int(np.flatnonzero(row)[0]) for row in turn]
    turned = data.transpose(order)
    start = whole[:3, 3].astype(int)
    for axis, source in enumerate(order):
        if turn[axis, source] < 0:
            turned = np.flip(turned, axis)
            start[axis] -= data.shape[source] - 1
    to, source_slices = [], []
    for first, size, length in zip(start, turned.shape, shape, strict=True):
        low, high = max(int(first), 0), min(int(first) + size, length)
        to.append(slice(low, max(high, low)))
        source_slices.append(slice(low - int(first), max(high, low) - int(first)))
    result = np.zeros(shape, data.dtype)
    result[tuple(to)] = turned[tuple(source_slices)]
    if np.count_nonzero(result) < np.count_nonzero(data):
        return None
    return result
