"""Windows where a coarse prediction is uncertain, and attention within them (BATFormer, Lin et al. 2023).

A class boundary has a high entropy. The windows with the highest mean entropy are chosen greedily, and a
window that overlaps a chosen one too much is left out (non-maximum suppression). A window may begin at
any pixel of the coarse map, so a boundary need not lie across the border of two windows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention: [B, T, heads * d], twice [B, S, heads * d] -> [B, T, heads * d]."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def entropy(probabilities: Tensor) -> Tensor:
    """[B, K, H, W] -> [B, H, W]: ``-sum_k p_k ln p_k``."""
    return -(probabilities * probabilities.clamp(min=1e-10).log()).sum(1)


def edge_strength(features: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H, W]: the norm of the differences from the next row and the next column."""
    down = F.pad(features.diff(dim=2), (0, 0, 0, 1))
    right = F.pad(features.diff(dim=3), (0, 1))
    return (down.square() + right.square()).sum(1).sqrt()


def choose_windows(
    uncertainty: Tensor, side: tuple[int, int], most: int, overlap: float
) -> tuple[Tensor, Tensor]:
    """Choose windows of high mean uncertainty by greedy non-maximum suppression.

    Args:
        uncertainty: [B, H, W].
        side: height and width of a window, at most H and W.
        most: M, the number of windows per image.
        overlap: a window whose intersection over union with a chosen one is larger is left out.

    Returns:
        [B, M, 2] int64 rows and columns of the first pixels, and [B, M] bool, false where no window
        remained.
    """
    height, width = side
    left = F.avg_pool2d(uncertainty[:, None], side, stride=1)[:, 0]
    rows, columns = (torch.arange(n, device=left.device) for n in left.shape[1:])
    corners, found = [], []
    for _ in range(most):
        score, best = left.flatten(1).max(1)
        row, column = best // len(columns), best % len(columns)
        corners.append(torch.stack([row, column], 1))
        found.append(score > float("-inf"))
        high = (height - (rows - row[:, None]).abs()).clamp(min=0)
        wide = (width - (columns - column[:, None]).abs()).clamp(min=0)
        shared = high[:, :, None] * wide[:, None]
        left = left.masked_fill(shared > overlap * (2 * height * width - shared), float("-inf"))
    return torch.stack(corners, 1), torch.stack(found, 1)


class WindowedAttention(nn.Module):
    """Attention within windows that an uncertainty map chooses; 0 in tokens outside of them."""

    def __init__(
        self,
        width: int,
        heads: int,
        head_dim: int,
        window: int,
        fraction: float,
        most: int,
        overlap: float,
        dropout: float,
    ) -> None:
        """Args: window: side in tokens, even; fraction: of the tiles of a map, the number of windows;
        most: its limit; overlap: see `choose_windows`.
        """
        super().__init__()
        self.heads, self.window = heads, window
        self.fraction, self.most, self.overlap = fraction, most, overlap
        self.qkv = nn.Linear(width, 3 * heads * head_dim, bias=False)
        self.proj = nn.Linear(heads * head_dim, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, uncertainty: Tensor) -> Tensor:
        """x: [B, H, W, C]; uncertainty: [B, H/2, W/2] -> [B, H, W, C]."""
        batch, height, width, channels = x.shape
        high, wide = (min(self.window, side) // 2 * 2 for side in (height, width))
        tiles = (height // high) * (width // wide)
        count = min(max(int(self.fraction * tiles), 1), self.most)
        corners, found = choose_windows(uncertainty, (high // 2, wide // 2), count, self.overlap)
        rows = 2 * corners[..., 0, None] + torch.arange(high, device=x.device)
        columns = 2 * corners[..., 1, None] + torch.arange(wide, device=x.device)
        tokens = (rows[..., :, None] * width + columns[..., None, :]).flatten(2)  # [B, M, T]
        image = torch.arange(batch, device=x.device)[:, None, None].expand_as(tokens)
        q, k, v = self.qkv(x.flatten(1, 2)[image, tokens].flatten(0, 1)).chunk(3, -1)
        out = self.dropout(self.proj(attend(q, k, v, self.heads))).unflatten(0, (batch, count))
        weight = found[..., None, None].to(out.dtype).expand(-1, -1, tokens.shape[2], 1)
        into = (image, tokens)
        total = out.new_zeros(batch, height * width, channels)
        total = total.index_put(into, out * weight, accumulate=True)
        times = out.new_zeros(batch, height * width, 1).index_put(into, weight, accumulate=True)
        return (total / times.clamp(min=1)).reshape(x.shape)
