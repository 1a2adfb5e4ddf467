"""Quarter turns, flips and scaling of slices, drawn for each image on its device.

The same transform applies to images and to predictions, so a network's prediction of a transformed image
can be compared with the transformed prediction of the image. Volumes are transformed in the plane of their
slices, all slices alike.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.methods.common.quarter_turns import draw_turns


def draw_transforms(
    count: int,
    device: torch.device | str = "cpu",
    quarter: bool = True,
    scales: tuple[float, float] = (0.8, 1.2),
) -> Tensor:
    """Draw transforms from torch's generator: a quarter turn, a flip of rows and a scale, each uniform.

    Quarter turns and the flip give all eight symmetries of a square.

    Args:
        count: B.
        device: device of the result.
        quarter: whether there are quarter turns, or half turns only (see
            `semiseg.methods.common.quarter_turns.allows_quarter_turns`).
        scales: smallest and largest scale; above 1 enlarges.

    Returns:
        [B, 2, 3] matrices from a position in the result to one in the input, in units of half a side.
    """
    angle = draw_turns(count, device, quarter) * (math.pi / 2)
    flip = 1.0 - 2 * torch.randint(2, (count,), device=device)
    scale = scales[0] + (scales[1] - scales[0]) * torch.rand(count, device=device)
    cos, sin, zero = angle.cos().round(), angle.sin().round(), torch.zeros_like(scale)
    rows = [torch.stack([cos, -sin * flip, zero], 1), torch.stack([sin, cos * flip, zero], 1)]
    return torch.stack(rows, 1) / scale[:, None, None]


def apply_transforms(x: Tensor, matrices: Tensor, outside: str = "zeros") -> Tensor:
    """Transform images or predictions by linear interpolation.

    Args:
        x: [B, C, H, W] or [B, C, D, H, W].
        matrices: [B, 2, 3] of `draw_transforms`.
        outside: what is outside the image: ``zeros``, or ``border`` to repeat its edge.

    Returns:
        A tensor of the same shape.
    """
    if not len(x):
        return x
    planes = x.flatten(1, -3)
    grid = F.affine_grid(matrices.to(x.dtype), list(planes.shape), align_corners=False)
    moved = F.grid_sample(planes, grid, "bilinear", outside, align_corners=False)
    return moved.view(x.shape)


def inside(matrices: Tensor, sides: Sequence[int]) -> Tensor:
    """Return which positions of the result lie inside the input: [B, H, W] or [B, D, H, W] bool.

    Args:
        matrices: [B, 2, 3] of `draw_transforms`.
        sides: sides of an image, [H, W] or [D, H, W].
    """
    grid = F.affine_grid(matrices, [len(matrices), 1, *sides[-2:]], align_corners=False)
    within = (grid.abs() <= 1).all(-1)
    return within if len(sides) == 2 else within[:, None].expand(-1, *sides)
