"""Geometric augmentation: drawn first, then applied to image and label alike.

Turns, flips, rotation and zoom of a sample are one affine matrix, so that a batch is resampled once.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.config import DataConfig


def draw_geometry(count: int, config: DataConfig, rng: np.random.Generator) -> Tensor:
    """[count, 2, 3] matrices for `apply_geometry`.

    As in the field's benchmark: with one probability a quarter turn and a flip; otherwise, with
    another, a rotation by up to ``rotation_degrees``; zoom and crop on top where asked for.
    """
    matrices = np.zeros((count, 2, 3), np.float32)
    for matrix in matrices:
        # every number is drawn whatever is used: one option does not shift another's draws
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
    # drawn after all others, for the same reason
    part, *place = rng.random((3, count)).astype(np.float32)
    side = 1 - config.crop * part
    matrices[:, :, :2] *= side[:, None, None]
    matrices[:, :, 2] = (1 - side)[:, None] * (2 * np.stack(place, 1) - 1)
    return torch.from_numpy(matrices)


def apply_geometry(
    images: Tensor, labels: Tensor | None, matrices: Tensor
) -> tuple[Tensor, Tensor]:
    """Resample square maps: images bilinearly, labels by nearest neighbour, zero outside.

    Args:
        images: [B, C, S, S] float.
        labels: [L, S, S] integers of the first L images (L may be 0), or None.
        matrices: [B, 2, 3] of `draw_geometry`.
    """
    if labels is None:
        labels = images.new_zeros((0, *images.shape[-2:]), dtype=torch.uint8)
    identity = torch.eye(2, 3)
    moved = (matrices != identity).flatten(1).any(1).nonzero()[:, 0]
    if len(moved) == 0:
        return images, labels
    images, labels = images.clone(), labels.clone()
    grid = F.affine_grid(matrices[moved], [len(moved), *images.shape[1:]], align_corners=False)
    images[moved] = F.grid_sample(images[moved], grid, "bilinear", "zeros", align_corners=False)
    with_label = moved < len(labels)
    if bool(with_label.any()):
        rows = moved[with_label]
        turned = F.grid_sample(
            labels[rows][:, None].float(), grid[with_label], "nearest", "zeros", align_corners=False
        )
        labels[rows] = turned[:, 0].to(labels.dtype)
    return images, labels
