"""Resampling of volumes to another spacing with the same field of view."""

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
    """The shape of a volume at the spacing ``target`` (mm).

    Raises:
        UserError: if it has too many voxels.
    """
    counts = tuple(max(round(n * s / t), 1) for n, s, t in zip(shape, spacing, target, strict=True))
    if math.prod(counts) > MOST_VOXELS:
        raise UserError(
            f"data.spacing {list(target)} would resample a volume of {' x '.join(map(str, shape))} to "
            f"{' x '.join(map(str, counts))} voxels: use a coarser spacing."
        )
    return counts


def resample(image: Tensor, shape: Sequence[int], antialias: bool = True) -> Tensor:
    """[C, D, H, W] float -> [C, *shape], linearly, first within slices and then across them.

    ``antialias``: whether to average voxels along axes that shrink.
    """
    depth, height, width = shape
    if image.shape[2:] != (height, width):
        shrinks = image.shape[2] > height or image.shape[3] > width
        image = F.interpolate(
            image, (height, width), mode="bilinear", antialias=antialias and shrinks
        )
    if image.shape[1] != depth:
        lines = image.flatten(2)[:, None]  # slices as the rows of one image
        lines = F.interpolate(
            lines, (depth, lines.shape[-1]), mode="bilinear",
            antialias=antialias and image.shape[1] > depth,
        )  # fmt: skip
        image = lines[:, 0].unflatten(-1, (height, width))
    return image


def resample_labels(label: NDArray[np.uint8], shape: Sequence[int]) -> Tensor:
    """[D, H, W] codes -> [*shape] uint8: the code with the largest linearly resampled indicator."""
    codes = np.unique(label)
    best = torch.full(tuple(shape), -1.0)
    out = torch.zeros(tuple(shape), dtype=torch.uint8)
    for code in codes:  # one at a time: memory does not grow with the number of classes
        indicator = resample(torch.from_numpy(np.asarray(label) == code)[None].float(), shape)[0]
        out[indicator > best] = int(code)
        best = torch.maximum(best, indicator)
    return out
