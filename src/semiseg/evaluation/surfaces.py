"""Distances between the surfaces of two masks: HD95 and average surface distance (ASD).

A surface voxel is a foreground voxel with a background neighbour (connectivity 1). Voxels outside the
array are background, so foreground voxels at its border are surface voxels. Distances are between
the centres of surface voxels. There are three definitions of HD95, with different values for the
same masks, so results must name theirs:

``pooled``
    95th percentile of both directed sets together (the default here).
``larger-direction``
    95th percentile of either directed set, then the larger of the two.
``surfel-weighted``
    in :mod:`semiseg.evaluation.surfels`: percentiles by surface area, at the voxels' corners.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError, unknown
from semiseg.evaluation.nearest import Distances, nearest_distances
from semiseg.evaluation.overlap import same_shape
from semiseg.evaluation.surfels import surfel_hd95

HD95 = Literal["pooled", "larger-direction", "surfel-weighted"]
Spacing = Sequence[float] | NDArray[np.float64]
DEFINITIONS: tuple[HD95, ...] = ("pooled", "larger-direction", "surfel-weighted")


def surface(mask: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return the surface voxels of ``mask`` (any number of axes), same shape, bool."""
    solid = mask.astype(bool, copy=False)
    inner = solid.copy()
    for axis in range(solid.ndim):
        inner_first, solid_first = np.moveaxis(inner, axis, 0), np.moveaxis(solid, axis, 0)
        inner_first[1:] &= solid_first[:-1]
        inner_first[:-1] &= solid_first[1:]
        inner_first[:1] = False
        inner_first[-1:] = False
    return solid & ~inner


def surface_distances(
    prediction: NDArray[np.generic],
    reference: NDArray[np.generic],
    spacing: Spacing | None = None,
) -> tuple[Distances, Distances]:
    """Return the distance of each surface voxel of one mask to the nearest of the other.

    Args:
        prediction: mask of any shape; nonzero is foreground.
        reference: mask of the same shape.
        spacing: mm along each axis, or [3, axes] the step to the next voxel in mm as a vector in each
            column (a sheared grid); None: distances in voxels.

    Returns:
        (prediction to reference, reference to prediction), each [number of surface voxels], in mm
        or voxels, in the order of ``np.nonzero``.

    Raises:
        UserError: if shapes differ, a mask is empty or ``spacing`` does not fit.
    """
    steps = _steps(prediction, reference, spacing)
    p, r = crop_to_pair(prediction, reference)
    return nearest_distances(surface(p), surface(r), steps)


def hd95(
    prediction: NDArray[np.generic],
    reference: NDArray[np.generic],
    spacing: Spacing | None = None,
    definition: HD95 = "pooled",
) -> float:
    """95th-percentile Hausdorff distance in mm, or voxels without ``spacing``.

    Raises:
        UserError: as :func:`surface_distances`, or for an unknown definition.
    """
    check_definition(definition)
    if definition == "surfel-weighted":
        steps = _steps(prediction, reference, spacing)
        return surfel_hd95(*crop_to_pair(prediction, reference), steps)
    return hd95_of(surface_distances(prediction, reference, spacing), definition)


def asd(
    prediction: NDArray[np.generic],
    reference: NDArray[np.generic],
    spacing: Spacing | None = None,
    symmetric: bool = True,
) -> float:
    """Average surface distance in mm, or voxels without ``spacing``.

    If ``symmetric``, the mean of the two directed means, otherwise from prediction to reference.

    Raises:
        UserError: as :func:`surface_distances`.
    """
    return asd_of(surface_distances(prediction, reference, spacing), symmetric)


def hd95_of(distances: tuple[Distances, Distances], definition: HD95 = "pooled") -> float:
    """HD95 from directed distances (not for ``surfel-weighted``)."""
    if definition == "pooled":
        return float(np.percentile(np.concatenate(distances), 95))
    return float(max(np.percentile(directed, 95) for directed in distances))


def asd_of(distances: tuple[Distances, Distances], symmetric: bool = True) -> float:
    """ASD from directed distances."""
    forward, backward = (float(directed.mean()) for directed in distances)
    return (forward + backward) / 2 if symmetric else forward


def check_definition(definition: str) -> HD95:
    """Validate ``definition`` as a definition of HD95.

    Raises:
        UserError: if it is unknown, with the nearest known one.
    """
    for known in DEFINITIONS:
        if definition == known:
            return known
    raise unknown("definition of HD95", definition, DEFINITIONS)


def crop_to_pair(
    prediction: NDArray[np.generic], reference: NDArray[np.generic]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Crop both masks to the smallest box that contains both, which preserves surface voxels.

    Foreground voxels at the border of the box are surface voxels with and without the crop.
    """
    p, r = prediction.astype(bool, copy=False), reference.astype(bool, copy=False)
    either = p | r
    box: list[slice] = []
    for axis in range(either.ndim):  # axis by axis, so later axes process less
        others = tuple(other for other in range(either.ndim) if other != axis)
        found = np.flatnonzero(either.any(axis=others))
        span = slice(int(found[0]), int(found[-1]) + 1)
        either = either[(slice(None),) * axis + (span,)]
        box.append(span)
    return p[tuple(box)], r[tuple(box)]


def _steps(
    prediction: NDArray[np.generic],
    reference: NDArray[np.generic],
    spacing: Spacing | None,
) -> NDArray[np.float64]:
    same_shape(prediction, reference)
    if not (prediction.any() and reference.any()):
        raise UserError(
            "A surface distance needs two masks with foreground: score empty masks with "
            "semiseg.evaluation.protocols.score_case, which has a rule for them."
        )
    if spacing is None:
        return np.ones(prediction.ndim)
    steps = np.asarray(spacing, np.float64)
    if steps.ndim == 2 and steps.shape[1] == prediction.ndim and np.isfinite(steps).all():
        return steps
    if steps.shape != (prediction.ndim,) or not np.all(np.isfinite(steps) & (steps > 0)):
        raise UserError(
            f"spacing needs {prediction.ndim} positive numbers (mm along each axis), "
            f"got {list(spacing)}."
        )
    return steps
