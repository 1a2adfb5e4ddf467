"""Sliding windows with overlap over a volume, weighted by a Gaussian.

As in nnU-Net (Isensee et al. 2021): predictions near the border of a window have small weights.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMA = 1 / 8  # as a fraction of a window's side
FLOOR = (
    1e-3  # lowest weight, as a fraction of the largest; keeps precision at corners of the volume
)


def window_starts(length: int, side: int, overlap: float) -> list[int]:
    """Return the starts of the fewest windows that cover ``length`` with at least ``overlap``."""
    if length <= side:
        return [0]
    step = max(int(side * (1 - overlap)), 1)
    count = math.ceil((length - side) / step) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def window_weights(sides: Sequence[int]) -> Tensor:
    """Return weights [*sides]: the product of a Gaussian along each axis, largest in the middle."""
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
    """Average the windows' predictions: [C, D, H, W] -> [K, D, H, W] float32, both on the CPU.

    A volume smaller than a window is centred and padded with zeros.

    Args:
        predict: [B, C, *sides] -> [B, K, *sides], such as probabilities.
        sides: sides of a window.
        overlap: fraction of a window that the next one shares.
        batch_size: windows per batch.
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
