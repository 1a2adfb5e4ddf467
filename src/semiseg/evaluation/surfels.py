"""HD95 weighted by surface area: the definition "surfel-weighted".

Surface elements (surfels) are the corners of voxels whose neighbourhood of 2x2 (2x2x2) voxels
contains both foreground and background; voxels outside the array are background. The weight of a
surfel is the length (area) of the marching-cubes contour in its neighbourhood, with vertices halfway
along the edges. For each direction, the distance is the weighted 95th percentile. HD95 is the larger.

Source: Nikolov et al., "Deep learning to achieve clinically applicable segmentation of head and
neck anatomy for radiotherapy", 2018 (the public package "surface-distance" has this definition).
"""

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError
from semiseg.evaluation.nearest import Distances, nearest_distances

Corner = tuple[int, ...]


def surfel_hd95(
    prediction: NDArray[np.bool_], reference: NDArray[np.bool_], steps: NDArray[np.float64]
) -> float:
    """Surfel-weighted HD95 of two masks with foreground, of the same shape with 2 or 3 axes.

    Args:
        prediction: bool mask.
        reference: bool mask.
        steps: [axes] spacing in mm, or 1 for voxels; the result has the same unit.

    Raises:
        UserError: if the masks do not have 2 or 3 axes, or these are not at right angles.
    """
    if steps.ndim == 2:
        raise UserError(
            "The surfel-weighted HD95 is defined only for axes at right angles, but an image lies on a "
            "sheared grid: use the definition 'pooled'."
        )
    if prediction.ndim not in (2, 3):
        raise UserError(
            f"The surfel-weighted HD95 is defined for 2 or 3 axes, not {prediction.ndim}: "
            "use the definition 'pooled'."
        )
    codes_p, codes_r = neighbour_codes(prediction), neighbour_codes(reference)
    full = 2**2**prediction.ndim - 1
    border_p = (codes_p > 0) & (codes_p < full)
    border_r = (codes_r > 0) & (codes_r < full)
    areas = surfel_areas(tuple(float(step) for step in steps))
    forward, backward = nearest_distances(border_p, border_r, steps)
    return max(
        _weighted_percentile(forward, areas[codes_p[border_p]], 0.95),
        _weighted_percentile(backward, areas[codes_r[border_r]], 0.95),
    )


def neighbour_codes(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return codes [n + 1 along each axis]; bit ``i`` is the ``i``-th voxel around a corner."""
    padded = np.pad(mask, 1)
    codes = np.zeros([size + 1 for size in mask.shape], np.intp)
    for bit, corner in enumerate(_corners(mask.ndim)):
        window = tuple(slice(c, c + size + 1) for c, size in zip(corner, mask.shape, strict=True))
        codes += padded[window].astype(np.intp) << bit
    return codes


@functools.lru_cache(maxsize=64)
def surfel_areas(steps: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the contour length (2 axes) or area (3 axes) of each code, [2^(2^axes)]."""
    # With spacing s, the area of a piece with normal n is the norm of n_i prod(s) / s_i.
    scale = np.prod(steps) / np.asarray(steps)
    axes = len(steps)
    areas = [
        sum(float(np.linalg.norm(np.asarray(piece) * scale)) for piece in _pieces(code, axes))
        for code in range(2**2**axes)
    ]
    return np.asarray(areas, np.float64)


def _weighted_percentile(distances: Distances, weights: NDArray[np.float64], part: float) -> float:
    order = np.argsort(distances, kind="stable")
    covered = np.cumsum(weights[order]) / weights.sum()
    # Rounding must not move an exact 95% to the next element or leave the last sum below 1.
    last = min(int(np.searchsorted(covered, part - 1e-12)), len(order) - 1)
    return float(distances[order[last]])


@functools.cache
def _corners(axes: int) -> tuple[Corner, ...]:
    return tuple(itertools.product((0, 1), repeat=axes))


def _pieces(code: int, axes: int) -> list[tuple[float, ...]]:
    """Return absolute normals of the planar pieces of the contour in one neighbourhood."""
    corners = _corners(axes)
    inside = [corner for bit, corner in enumerate(corners) if code >> bit & 1]
    if len(inside) > len(corners) // 2:  # a mask and its complement have the same contour
        inside = [corner for corner in corners if corner not in inside]
    pieces: list[tuple[float, ...]] = []
    while inside:
        part = [inside.pop()]
        for corner in part:  # grows during iteration to all corners connected by edges
            joined = [other for other in inside if _apart(corner, other) == 1]
            part += joined
            inside = [other for other in inside if other not in joined]
        pieces += _contour_2d(part) if axes == 2 else _contour_3d(part)
    return pieces


def _contour_2d(part: list[Corner]) -> list[tuple[float, ...]]:
    if len(part) == 1:
        return [(1 / 2, 1 / 2)]
    return [_normal(2, {_shared_axes(part)[0]: 1.0})]


def _contour_3d(part: list[Corner]) -> list[tuple[float, ...]]:
    """Return the planar pieces of the contour around connected corners."""
    shared = _shared_axes(part)
    if len(part) == 1:  # a triangle
        return [(1 / 8, 1 / 8, 1 / 8)]
    if len(part) == 2:  # a rectangle along the edge
        return [_normal(3, dict.fromkeys(shared, 1 / 2))]
    if len(part) == 3:  # a triangle parallel to the face, and a trapezium
        return [_normal(3, {shared[0]: 1 / 2}), (3 / 8, 3 / 8, 3 / 8)]
    if shared:  # four on one face: a square
        return [_normal(3, {shared[0]: 1.0})]
    degree = {corner: sum(_apart(corner, other) == 1 for other in part) for corner in part}
    if max(degree.values()) == 3:  # a corner and its three neighbours: a hexagon
        return [(3 / 4, 3 / 4, 3 / 4)]
    first, second = (corner for corner in part if degree[corner] == 2)  # a chain of three edges
    middle = next(axis for axis in range(3) if first[axis] != second[axis])
    ends = [axis for axis in range(3) if axis != middle]
    ears = [_normal(3, {middle: 1 / 4, end: 1 / 4}) for end in ends]
    return [*ears, (1 / 2, 1 / 2, 1 / 2)]


def _apart(one: Corner, other: Corner) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def _shared_axes(part: list[Corner]) -> list[int]:
    return [axis for axis in range(len(part[0])) if len({corner[axis] for corner in part}) == 1]


def _normal(axes: int, entries: dict[int, float]) -> tuple[float, ...]:
    return tuple(entries.get(axis, 0.0) for axis in range(axes))
