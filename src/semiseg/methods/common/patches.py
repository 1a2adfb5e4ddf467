"""Random batches of patches of feature maps (MCSC, section 3.2).

"We divide all the feature maps in F into patches with size of h' x h' [...]. We randomly select
(without replacement) a patch from each feature map in F, and finally we get M batches of 2N patches."
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Remainder = Literal["pad", "offset", "drop"]


def draw_origin(sides: Sequence[int], remainder: Remainder) -> tuple[int, ...]:
    """Return how far the grid of patches starts outside the map along each axis.

    Random for ``offset``, drawn from torch's generator; otherwise 0.
    """
    if remainder != "offset":
        return (0,) * len(sides)
    return tuple(int(torch.randint(side, ())) for side in sides)


def shuffle_patches(
    maps: Tensor,
    labels: Tensor,
    side: int | Sequence[int],
    remainder: Remainder = "pad",
    origin: tuple[int, ...] | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Distribute the patches of every map over M batches, by a random permutation for each map.

    If a map's side is not a multiple of ``side``, ``pad`` fills the last patches with masked positions
    (every pixel is used exactly once), ``offset`` shifts the grid by a random amount and pads both
    ends, and ``drop`` leaves out the remainder. Random numbers come from torch's generator.

    Args:
        maps: [R, C, H, W] feature maps, or [R, C, D, H, W].
        labels: [R, H, W] int64, or [R, D, H, W].
        side: h', the side of a patch, or one side per axis.
        remainder: see above.
        origin: see `draw_origin`; pass it to calls that must agree on M. None: draw one.

    Returns:
        Embeddings [M, R t, C], labels [M, R t], mask [M, R t] or None for no padding, where t is the
        number of pixels of a patch.
    """
    shape = list(maps.shape[2:])
    sides = [side] * len(shape) if isinstance(side, int) else list(side)
    mask = None
    if remainder == "drop":
        shape = [max(n // s, 1) * s for n, s in zip(shape, sides, strict=True)]
        for axis, n in enumerate(shape):
            length = min(n, maps.shape[2 + axis])
            maps, labels = maps.narrow(2 + axis, 0, length), labels.narrow(1 + axis, 0, length)
        shape = list(maps.shape[2:])
    if any(n % s for n, s in zip(shape, sides, strict=True)):
        before = origin or draw_origin(sides, remainder)
        pad: list[int] = []  # the last axis first, as in `F.pad`
        for n, s, first in reversed(list(zip(shape, sides, before, strict=True))):
            pad += [first, math.ceil((n + first) / s) * s - n - first]
        mask = F.pad(torch.ones_like(labels, dtype=torch.bool), pad)
        maps, labels = F.pad(maps, pad), F.pad(labels, pad)
    counts = [n // s for n, s in zip(maps.shape[2:], sides, strict=True)]
    tiles, size = math.prod(counts), math.prod(sides)
    order = torch.rand(maps.shape[0], tiles, device=maps.device).argsort(1)  # pi_i(m)
    picked = torch.arange(maps.shape[0], device=maps.device)[:, None]
    split = [n for pair in zip(counts, sides, strict=True) for n in pair]
    dims = len(counts)
    grouped = [1 + 2 * i for i in range(dims)] + [2 + 2 * i for i in range(dims)]

    def deal(x: Tensor) -> Tensor:
        """[R, H, W, ...] -> [M, R t, ...]."""
        tail = x.shape[1 + dims :]
        x = x.reshape(x.shape[0], *split, *tail)
        x = x.permute(0, *grouped, *range(1 + 2 * dims, x.ndim))
        x = x.reshape(x.shape[0], tiles, size, *tail)[picked, order]
        return x.transpose(0, 1).reshape(tiles, -1, *tail)

    return deal(maps.movedim(1, -1)), deal(labels), None if mask is None else deal(mask)
