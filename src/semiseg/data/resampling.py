"""Volumes on grids of another spacing: the same field of view in more or fewer voxels."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semiseg.errors import UserError

MOST_VOXELS = 2**31


def new_shape(
    shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]
) -> tuple[int, ...]:
    """How many voxels of ``target`` mm a volume has along each axis.

    Raises:
        UserError: if that are more than any memory holds.
    """
    counts = tuple(max(round(n * s / t), 1) for n, s, t in zip(shape, spacing, target, strict=True))
    if math.prod(counts) > MOST_VOXELS:
        raise UserError(
            f"data.spacing {list(target)} would make {' x '.join(map(str, counts))} voxels of a volume "
            f"of {' x '.join(map(str, shape))}: take a coarser one."
        )
    return counts


def resample(image: Tensor, shape: Sequence[int], antialias: bool = True) -> Tensor:
    """[C, D, H, W] float -> [C, *shape], linearly: within the slices, then across them.

    ``antialias``: average over what falls together where an axis shrinks.
    """
    depth, height, width = shape
    if image.shape[2:] != (height, width):
        shrinks = image.shape[2] > height or image.shape[3] > width
        image = F.interpolate(
            image, (height, width), mode="bilinear", antialias=antialias and shrinks
        )
    if image.shape[1] != depth:
        lines = image.flatten(2)[:, None]  # a volume's slices as the rows of one image
        lines = F.interpolate(
            lines, (depth, lines.shape[-1]), mode="bilinear",
            antialias=antialias and image.shape[1] > depth,
        )  # fmt: skip
        image = lines[:, 0].unflatten(-1, (height, width))
    return image


def resample_labels(label: NDArray[np.uint8], shape: Sequence[int]) -> Tensor:
    """[D, H, W] codes -> [*shape] uint8: the code whose indicator, resampled linearly, is largest."""
    codes = np.unique(label)
    best = torch.full(tuple(shape), -1.0)
    out = torch.zeros(tuple(shape), dtype=torch.uint8)
    for code in codes:  # one at a time: memory does not grow with the number of classes
        there = resample(torch.from_numpy(np.asarray(label) == code)[None].float(), shape)[0]
        wins = there > best
        out[wins] = int(code)
        best = torch.maximum(best, there)
    return out
