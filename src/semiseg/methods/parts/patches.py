"""Feature maps cut into patches that are dealt out at random (MCSC, section 3.2).

"We divide all the feature maps in F into patches with size of h' x h' [...]. We randomly select
(without replacement) a patch from each feature map in F, and finally we get M batches of 2N patches."
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Remainder = Literal["pad", "offset", "drop"]


def draw_origin(side: int, remainder: Remainder) -> tuple[int, int]:
    """How much of the first row and column of tiles lies outside: random for ``offset``, else 0.

    Draws from torch's generator.
    """
    if remainder != "offset":
        return 0, 0
    return int(torch.randint(side, ())), int(torch.randint(side, ()))


def deal_patches(
    maps: Tensor,
    labels: Tensor,
    side: int,
    remainder: Remainder = "pad",
    origin: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Deal the tiles of every map out to M problems, by an own random permutation for each map.

    Where ``side`` does not divide the map, ``pad`` completes the last row and column of tiles with
    masked positions (every pixel is used exactly once), ``offset`` shifts the grid by a random amount
    and does the same at both ends, ``drop`` leaves the remainder out. Draws from torch's generator.

    Args:
        maps: [R, C, H, W] feature maps.
        labels: [R, H, W] int64.
        side: h', the side of a tile.
        remainder: see above.
        origin: of `draw_origin`, for calls that must agree on the number of tiles; None draws one.

    Returns:
        Embeddings [M, R side^2, C], labels [M, R side^2], mask [M, R side^2] or None for no padding.
    """
    height, width = maps.shape[-2:]
    mask = None
    if remainder == "drop":
        height, width = max(height // side, 1) * side, max(width // side, 1) * side
        maps, labels = maps[..., :height, :width], labels[..., :height, :width]
        height, width = maps.shape[-2:]
    if height % side or width % side:
        top, left = origin or draw_origin(side, remainder)
        bottom = math.ceil((height + top) / side) * side - height - top
        right = math.ceil((width + left) / side) * side - width - left
        pad = (left, right, top, bottom)
        mask = F.pad(torch.ones_like(labels, dtype=torch.bool), pad)
        maps, labels = F.pad(maps, pad), F.pad(labels, pad)
    rows, columns = maps.shape[-2] // side, maps.shape[-1] // side
    tiles = rows * columns
    order = torch.rand(maps.shape[0], tiles, device=maps.device).argsort(1)  # pi_i(m)
    picked = torch.arange(maps.shape[0], device=maps.device)[:, None]

    def deal(x: Tensor) -> Tensor:
        """[R, H, W, ...] -> [M, R side^2, ...]."""
        tail = x.shape[3:]
        x = x.reshape(x.shape[0], rows, side, columns, side, *tail).transpose(2, 3)
        x = x.reshape(x.shape[0], tiles, side * side, *tail)[picked, order]
        return x.transpose(0, 1).reshape(tiles, -1, *tail)

    return deal(maps.permute(0, 2, 3, 1)), deal(labels), None if mask is None else deal(mask)
