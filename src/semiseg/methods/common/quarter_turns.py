"""Rotations by multiples of 90 degrees in the plane of the last two axes."""

from collections.abc import Sequence

import torch
from torch import Tensor


def allows_quarter_turns(sides: Sequence[int], spacing: Sequence[float]) -> bool:
    """Return whether a quarter turn maps the grid of a plane to itself: equal sides, square pixels.

    Args:
        sides: sides of an image, [H, W] or [D, H, W].
        spacing: sides of a pixel or voxel, in the same order.
    """
    return sides[-1] == sides[-2] and spacing[-1] == spacing[-2]


def draw_turns(count: int, device: torch.device | str = "cpu", quarter: bool = True) -> Tensor:
    """Draw [B] int64 from {0, 1, 2, 3} with equal probability; without ``quarter`` from {0, 2}."""
    if quarter:
        return torch.randint(4, (count,), device=device)
    return 2 * torch.randint(2, (count,), device=device)


def turn(x: Tensor, turns: Tensor) -> Tensor:
    """Rotate each image by its number of quarter turns; ``turn(turn(x, n), -n)`` is ``x``.

    Args:
        x: [B, C, (D,) H, W]. If H and W differ, only even ``turns`` have an effect.
        turns: [B] int64.

    Returns:
        The same shape.
    """
    square = x.shape[-1] == x.shape[-2]
    turns = (turns % 4).view(-1, *(1,) * (x.ndim - 1))
    out = x
    for number in (1, 2, 3) if square else (2,):
        out = torch.where(turns == number, torch.rot90(x, number, (-2, -1)), out)
    return out
