"""A network over a volume that is larger than its input: overlapping windows, weighted by a Gaussian.

As in nnU-Net (Isensee et al. 2021): what a network says near the border of its window counts little.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMA = 1 / 8  # of a window's side
FLOOR = 1e-3  # of the largest weight, so that corners of the volume keep their digits


def window_starts(length: int, side: int, overlap: float) -> list[int]:
    """First voxels of the fewest windows that cover ``length`` and share at least ``overlap``."""
    if length <= side:
        return [0]
    step = max(int(side * (1 - overlap)), 1)
    count = math.ceil((length - side) / step) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def window_weights(sides: Sequence[int]) -> Tensor:
    """[*sides], largest in the middle: the product of a Gaussian along each axis."""
    weights = torch.ones(())
    for side in sides:
        away = (torch.arange(side) - (side - 1) / 2) / (side * SIGMA)
        weights = weights[..., None] * torch.exp(-0.5 * away**2)
    return (weights / weights.max()).clamp(min=FLOOR)


@torch.inference_mode()
def slide(
    predict: Callable[[Tensor], Tensor],
    image: Tensor,
    sides: Sequence[int],
    overlap: float = 0.5,
    device: torch.device | str = "cpu",
    batch_size: int = 4,
) -> Tensor:
    """[C, D, H, W] -> [K, D, H, W] float32, both on the CPU: the windows' weighted mean.

    Where the volume is smaller than a window it lies in its middle, zero around it.

    Args:
        predict: [B, C, *sides] -> [B, K, *sides], such as probabilities.
        sides: of a window.
        overlap: the part of a window that the next one shares.
        batch_size: windows at a time.
    """
    shape = image.shape[1:]
    missing = [max(s - n, 0) for s, n in zip(sides, shape, strict=True)]
    before = [m // 2 for m in missing]
    pad = [n for m, b in zip(reversed(missing), reversed(before), strict=True) for n in (b, m - b)]
    image = F.pad(image, pad)
    axes = [window_starts(n, s, overlap) for n, s in zip(image.shape[1:], sides, strict=True)]
    windows = [
        tuple(slice(a, a + s) for a, s in zip(corner, sides, strict=True))
        for corner in itertools.product(*axes)
    ]
    weights = window_weights(sides)
    total = torch.zeros(image.shape[1:])
    for z, y, x in windows:
        total[z, y, x] += weights
    out: Tensor | None = None
    for first in range(0, len(windows), batch_size):
        part = windows[first : first + batch_size]
        inputs = torch.stack([image[:, z, y, x] for z, y, x in part]).to(device)
        found = predict(inputs).float().cpu()
        if out is None:
            out = torch.zeros((found.shape[1], *image.shape[1:]))
        for (z, y, x), values in zip(part, found, strict=True):
            out[:, z, y, x] += values * (weights / total[z, y, x])
    assert out is not None
    z, y, x = (slice(b, b + n) for b, n in zip(before, shape, strict=True))
    return out[:, z, y, x]
