"""Elastic deformation: random smooth displacements, as cubic B-splines of a coarse grid of points.

Free-form deformation (Rueckert et al., IEEE TMI 1999). Random displacements of a coarse grid are also the
elastic deformation of the U-Net (Ronneberger et al., MICCAI 2015).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from semiseg.config import DataConfig

LONG = 2.0  # ratio of a voxel's longest to its shortest side; above, only slices are deformed and rotated


def draw_elastic(
    count: int,
    config: DataConfig,
    rng: np.random.Generator,
    spacings: Sequence[Sequence[float]] | None = None,
) -> Tensor | None:
    """Draw the control points of ``count`` displacement fields; draw nothing without ``data.elastic``.

    Args:
        count: B, the number of images.
        config: probability, largest displacement and distance of the points.
        rng: random generator. Call this after all other draws from it.
        spacings: volumes: (slice, row, column) in mm of each patch. Where voxels are long, slices are
            deformed within themselves.

    Returns:
        [B, A, n, n] for A = 2 axes or [B, A, n, n, n] for 3: displacements along each axis, in halves of the
        side. 0 for images that are not deformed. None if ``data.elastic`` is 0.
    """
    if not config.elastic:
        return None
    axes = config.dimensions
    chosen = rng.random(count) < config.elastic
    points = rng.uniform(-1, 1, (count, axes, *(_cells(config.elastic_spacing) + 3,) * axes))
    points *= 2 * config.elastic_displacement
    points[~chosen] = 0
    for number, spacing in enumerate(spacings or ()):
        if max(spacing) >= LONG * min(spacing):
            points[number, 0] = 0
    return torch.from_numpy(points).float()


def _cells(spacing: float) -> int:
    """The number of cells between control points that cover a side."""
    return math.ceil(1 / spacing - 1e-9)


def extents(points: Tensor) -> Tensor:
    """Return how far displaced pixels lie from the centre along each axis: [B, A]; 1: at the edge."""
    return 1 + points.abs().flatten(2).amax(2)


def displacement_field(points: Tensor, spacing: float, sides: Sequence[int]) -> Tensor:
    """Evaluate the B-splines at the centres of pixels or voxels.

    Args:
        points: [B, A, n, ...] of `draw_elastic`.
        spacing: distance of the points, as a fraction of the side.
        sides: size of the image, one per axis.

    Returns:
        [B, *sides, A], in halves of the side, columns first (as the grids of torch).
    """
    for side in sides:
        # takes the first of the remaining axes of points, and puts that of pixels last
        points = torch.tensordot(points, _weights(side, spacing).to(points), ([2], [1]))
    return points.movedim(1, -1).flip(-1)


def _weights(side: int, spacing: float) -> Tensor:
    """[side, n]: the weight of each control point at each pixel; rows add up to 1."""
    cells = _cells(spacing)
    place = (torch.arange(side, dtype=torch.float64) + 0.5) / side / spacing
    cell = place.floor().clamp(max=cells - 1)
    t = (place - cell)[:, None]
    basis = torch.cat(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1
    )
    weights = torch.zeros(side, cells + 3, dtype=torch.float64)
    return weights.scatter_(1, cell.long()[:, None] + torch.arange(4), basis / 6)
