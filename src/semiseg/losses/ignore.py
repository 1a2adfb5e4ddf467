"""Labels in which ``NOT_DRAWN`` stands where nobody drew: such pixels have no class and no loss."""

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.data.task import NOT_DRAWN


def one_hot(target: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """[B, ...] int64 -> [B, K, ...] of 0 and 1; nothing but 0 where ``target`` is not drawn."""
    drawn = (target != NOT_DRAWN)[:, None]
    codes = torch.zeros(
        (len(target), classes, *target.shape[1:]), dtype=dtype, device=target.device
    )
    return codes.scatter_(1, target[:, None].where(drawn, 0), drawn.to(dtype))


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy, mean over the drawn pixels; 0 (with a graph) where there is none.

    Args:
        logits: [B, K, ...].
        target: [B, ...] int64 class codes or ``NOT_DRAWN``.
    """
    total = F.cross_entropy(logits, target, ignore_index=NOT_DRAWN, reduction="sum")
    return total / (target != NOT_DRAWN).sum().clamp(min=1)
