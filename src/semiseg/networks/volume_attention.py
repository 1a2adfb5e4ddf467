"""Attention within windows of a volume, and across a skip connection (nnFormer, Zhou et al. 2023).

As in the Swin Transformer (Liu et al. 2021), windows are shifted by half their sides in every second
block, and a mask separates tokens that are adjacent only because of the cyclic shift.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.swin_unet import DropPath, Mlp

MASKED = -100.0


def fit_windows(sides: Sequence[int], largest: int) -> tuple[int, ...]:
    """Return the sides of windows of about equal size, at most ``largest``, that cover a map.

    A map of at most ``largest`` tokens has one window; 6 tokens and windows of 4 give two windows of 3.
    """
    counts = [-(-side // largest) for side in sides]
    return tuple(-(-side // count) for side, count in zip(sides, counts, strict=True))


class VolumeAttention(nn.Module):
    """Multi-head attention within windows, with a relative position bias.

    Queries are tokens of one map. Keys and values are tokens of the same map or, with ``cross``, of
    another map. With ``cross`` the queries are not projected, as in nnFormer's skip attention.
    """

    index: Tensor
    mask: Tensor | None

    def __init__(
        self,
        width: int,
        heads: int,
        sides: Sequence[int],
        largest: int,
        shifted: bool = False,
        cross: bool = False,
    ) -> None:
        """Args: sides: of the map in tokens; largest: the largest side of a window."""
        super().__init__()
        self.heads = heads
        self.window = fit_windows(sides, largest)
        self.counts = tuple(-(-s // w) for s, w in zip(sides, self.window, strict=True))
        self.padding = tuple(
            n * w - s for n, w, s in zip(self.counts, self.window, sides, strict=True)
        )
        self.shift = tuple(
            w // 2 if shifted and n > 1 else 0
            for n, w in zip(self.counts, self.window, strict=True)
        )
        self.q = None if cross else nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        spans = [2 * w - 1 for w in self.window]
        self.bias = nn.Parameter(torch.zeros(spans[0] * spans[1] * spans[2], heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        grid = torch.stack(torch.meshgrid(*map(torch.arange, self.window), indexing="ij")).flatten(
            1
        )
        offset = grid[:, :, None] - grid[:, None] + torch.tensor(self.window)[:, None, None] - 1
        index = (offset[0] * spans[1] + offset[1]) * spans[2] + offset[2]
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("mask", self._mask(sides), persistent=False)

    def _mask(self, sides: Sequence[int]) -> Tensor | None:
        """Build the mask [windows, 1, T, T] that is added to the logits; None if nothing is masked."""
        if not any(self.padding) and not any(self.shift):
            return None
        regions, padded = [], []
        for side, window, count, shift in zip(
            sides, self.window, self.counts, self.shift, strict=True
        ):
            place = torch.arange(count * window)
            padded.append(place.roll(-shift) >= side)
            # the last window contains both ends of the axis
            regions.append((shift > 0) & (place >= count * window - shift))
        region = torch.stack(torch.meshgrid(*regions, indexing="ij"), -1).float()
        outside = torch.stack(torch.meshgrid(*padded, indexing="ij"), -1).any(-1)
        region, outside = self._windows(region[None])[0], self._windows(outside[None, ..., None])
        apart = (region[:, :, None] != region[:, None]).any(-1) | outside[0, :, None, :, 0]
        return torch.zeros(apart.shape).masked_fill(apart, MASKED)[:, None]

    def _windows(self, x: Tensor) -> Tensor:
        """[B, D, H, W, C] -> [B, windows, T, C]."""
        (d, h, w), (nd, nh, nw) = self.window, self.counts
        x = x.reshape(x.shape[0], nd, d, nh, h, nw, w, x.shape[-1])
        return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(1, 3).flatten(2, 4)

    def _join(self, x: Tensor) -> Tensor:
        """[B, windows, T, C] -> [B, D, H, W, C]."""
        x = x.unflatten(1, self.counts).unflatten(4, self.window)
        x = x.permute(0, 1, 4, 2, 5, 3, 6, 7)
        return x.flatten(5, 6).flatten(3, 4).flatten(1, 2)

    def _cut(self, x: Tensor) -> Tensor:
        depth, height, width = self.padding
        if any(self.padding):  # both copy the map in any case
            x = F.pad(x, (0, 0, 0, width, 0, height, 0, depth))
        if any(self.shift):
            x = x.roll([-s for s in self.shift], (1, 2, 3))
        return self._windows(x)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x: [B, D, H, W, C], queries; context: [B, D, H, W, C] or None -> [B, D, H, W, C]."""
        sides = x.shape[1:4]
        own = self._cut(x)
        other = own if context is None else self._cut(context)
        queries = own if self.q is None else self.q(own)
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(2, 3)
            for part in (queries, *self.kv(other).chunk(2, -1))
        )
        logits = (q * q.shape[-1] ** -0.5) @ k.mT + self.bias[self.index].permute(2, 0, 1)
        if self.mask is not None:
            logits = logits + self.mask
        out = self._join(self.proj((logits.softmax(-1) @ v).transpose(2, 3).flatten(3)))
        if any(self.shift):
            out = out.roll(self.shift, (1, 2, 3))
        return out[:, : sides[0], : sides[1], : sides[2]]


class VolumeBlock(nn.Module):
    """One transformer block: attention and a two-layer perceptron, each with a residual."""

    def __init__(
        self,
        width: int,
        heads: int,
        sides: Sequence[int],
        largest: int,
        shifted: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = VolumeAttention(width, heads, sides, largest, shifted)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D, H, W, C] -> the same shape."""
        x = x + self.drop_path(self.attention(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class SkipBlock(nn.Module):
    """Skip attention: queries from the decoder, keys and values from the encoder's map."""

    def __init__(
        self, width: int, heads: int, sides: Sequence[int], largest: int, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm_skip = nn.LayerNorm(width)
        self.attention = VolumeAttention(width, heads, sides, largest, cross=True)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Twice [B, D, H, W, C] -> the same shape."""
        y = self.attention(self.norm1(x), self.norm_skip(skip))
        x = x + skip + self.drop_path(y)
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out
