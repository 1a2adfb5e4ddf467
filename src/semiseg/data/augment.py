"""Geometric augmentation: random transforms, applied to image and label alike.

Quarter turns, flips, rotation and zoom of a sample form one affine matrix. It is applied after the elastic
displacement (`semiseg.data.elastic`), so each batch is resampled only once. A crop or a patch is read with a
margin for its transform, so that its corners are empty only outside the image.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.elastic import LONG, displacement_field, extents


def draw_geometry(count: int, config: DataConfig, rng: np.random.Generator) -> Tensor:
    """Draw [count, 2, 3] matrices for `apply_geometry`.

    As in SSL4MIS: with one probability a quarter turn and a flip; otherwise, with another
    probability, a rotation by up to ``rotation_degrees``. Zoom, crop and reflections along
    ``mirror_axes`` are added if configured.
    """
    matrices = np.zeros((count, 2, 3), np.float32)
    for matrix in matrices:
        # draw all numbers, used or not, so that one option does not change the draws of another
        turn_or_flip, rotate, angle, zoom = rng.random(4)
        quarter, flip = int(rng.integers(4)), int(rng.integers(2))
        linear = np.eye(2)
        if turn_or_flip < config.quarter_turns_and_flips:
            cos, sin = (1, 0, -1, 0)[quarter], (0, 1, 0, -1)[quarter]
            linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1, 1] if flip else [1, -1])
        elif rotate < config.rotation:
            radians = math.radians((2 * angle - 1) * config.rotation_degrees)
            cos_, sin_ = math.cos(radians), math.sin(radians)
            linear = np.array([[cos_, -sin_], [sin_, cos_]])
        matrix[:, :2] = linear / (1 + (2 * zoom - 1) * config.scaling)
    # drawn last, for the same reason
    part, *place = rng.random((3, count)).astype(np.float32)
    side = 1 - config.crop * part
    matrices[:, :, :2] *= side[:, None, None]
    matrices[:, :, 2] = (1 - side)[:, None] * (2 * np.stack(place, 1) - 1)
    signs = _reflections(count, config, rng)  # drawn after all others, for the same reason
    matrices[:, :, :2] *= signs[:, None, ::-1]  # torch counts columns first
    return torch.from_numpy(matrices)


def draw_movements(
    spacings: Sequence[Sequence[float]], config: DataConfig, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw [B, 3, 3] matrices from voxels of a patch (offsets from its centre) to its volume's.

    With one probability a quarter turn about the slice axis and flips along each axis with
    probability 0.5; otherwise, with another probability, a rotation by up to ``rotation_degrees``
    about the slice axis, or about all axes if voxels are nearly isotropic (`LONG`). Zoom and reflections
    along ``mirror_axes`` are added. Angles are in physical space.

    Args:
        spacings: (slice, row, column) in mm of each patch.
        config: probabilities and ranges.
        rng: random generator.
    """
    movements = []
    for spacing in spacings:
        turn_or_flip, rotate, zoom = rng.random(3)  # draw all numbers, as in draw_geometry
        angles, quarter, flips = rng.random(3), int(rng.integers(4)), rng.integers(0, 2, 3)
        linear = np.eye(3)
        if turn_or_flip < config.quarter_turns_and_flips:
            linear = np.rint(_turn(0, quarter * math.pi / 2)) @ np.diag(1.0 - 2 * flips)
        elif rotate < config.rotation:
            axes = (0, 1, 2) if max(spacing) < LONG * min(spacing) else (0,)
            for axis in axes:
                degrees = (2 * angles[axis] - 1) * config.rotation_degrees
                linear = linear @ _turn(axis, math.radians(degrees))
        linear = linear / (1 + (2 * zoom - 1) * config.scaling)
        mm = np.asarray(spacing, float)
        movements.append(linear * mm / mm[:, None])
    return np.stack(movements) * _reflections(len(movements), config, rng)[:, None]


def _reflections(count: int, config: DataConfig, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw signs [count, axes]: -1 with probability 0.5 along each of ``mirror_axes``, else 1."""
    mirrored = rng.random((count, config.dimensions)) < 0.5
    mirrored[:, [axis not in config.mirror_axes for axis in range(config.dimensions)]] = False
    return np.where(mirrored, -1, 1).astype(np.float32)


def _turn(axis: int, angle: float) -> NDArray[np.float64]:
    """A rotation about one of the axes (slice, row, column)."""
    one, other = (i for i in range(3) if i != axis)
    turn = np.eye(3)
    turn[one, one] = turn[other, other] = math.cos(angle)
    turn[one, other], turn[other, one] = -math.sin(angle), math.sin(angle)
    return turn


def reach(
    movements: NDArray[np.float64], sides: Sequence[int], points: Tensor | None = None
) -> tuple[int, ...]:
    """The sides of a box around a patch that contains the patch after each of the movements.

    ``points``: control points of the displacements that precede the movements.
    """
    lengths = np.asarray(sides, float)
    if points is not None:
        lengths = lengths * extents(points).numpy()[:, None]
    needed = (np.abs(movements) * lengths).sum(2).max(0)
    # equal margins on both sides, so that the patch is in the middle of its box
    return tuple(
        s + 2 * max(math.ceil((n - s) / 2 - 1e-6), 0) for n, s in zip(needed, sides, strict=True)
    )


def to_matrices(movements: NDArray[np.float64], sides: Sequence[int], box: Sequence[int]) -> Tensor:
    """[B, 3, 4] matrices for `apply_geometry`, from boxes of size ``box`` to patches of ``sides``."""
    scaled = movements * np.asarray(sides, float) / np.asarray(box, float)[:, None]
    matrices = np.zeros((len(movements), 3, 4))
    matrices[:, :, :3] = scaled[:, ::-1, ::-1]  # torch counts columns first
    return torch.from_numpy(matrices).float()


def apply_geometry(
    images: Tensor,
    labels: Tensor | None,
    matrices: Tensor,
    sides: Sequence[int] | None = None,
    points: Tensor | None = None,
    spacing: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Resample images linearly and labels by nearest neighbour, with zeros outside.

    Args:
        images: [B, C, S, S] float, or [B, C, D, H, W].
        labels: [L, S, S] or [L, D, H, W] integers of the first L images (L may be 0), or None.
        matrices: [B, 2, 3] of `draw_geometry`, or [B, 3, 4] of `to_matrices`.
        sides: size of the result, which is the middle of the input; default: that of the input.
        points: control points of `draw_elastic`, or None. A pixel of the result is displaced first, and
            the matrix then takes it to the input.
        spacing: distance of the control points, as a fraction of the side.
    """
    size = images.shape[2:]
    sides = tuple(sides or size)
    if labels is None:
        labels = images.new_zeros((0, *size), dtype=torch.uint8)
    # columns first, as in the matrices
    parts = torch.tensor([s / n for s, n in zip(reversed(sides), reversed(size), strict=True)])
    identity = F.pad(torch.diag(parts), (0, 1))
    changed = (matrices != identity).flatten(1).any(1)
    if points is not None:
        changed |= points.flatten(1).any(1)
    moved = changed.nonzero()[:, 0]
    still, still_labels = images, labels
    for axis, (s, n) in enumerate(zip(sides, size, strict=True)):
        still = still.narrow(2 + axis, (n - s) // 2, s)
        still_labels = still_labels.narrow(1 + axis, (n - s) // 2, s)
    if len(moved) == 0:
        return still, still_labels
    out, codes = still.clone(), still_labels.clone()
    shape = [len(moved), images.shape[1], *sides]
    grid = F.affine_grid(matrices[moved], shape, align_corners=False)
    if points is not None:
        displaced = displacement_field(points[moved], spacing, sides)
        grid += torch.einsum("bij,b...j->b...i", matrices[moved][..., :-1], displaced)
    out[moved] = F.grid_sample(images[moved], grid, "bilinear", "zeros", align_corners=False)
    with_label = moved < len(labels)
    if bool(with_label.any()):
        rows = moved[with_label]
        turned = F.grid_sample(
            labels[rows][:, None].float(), grid[with_label], "nearest", "zeros", align_corners=False
        )
        codes[rows] = turned[:, 0].to(codes.dtype)
    return out, codes
