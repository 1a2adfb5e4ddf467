"""Labels with ignored pixels: ``IGNORE_INDEX`` marks pixels without a class and without a loss."""

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX


def one_hot(target: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """[B, ...] int64 -> [B, K, ...] of 0 and 1; all 0 where ``target`` is ignored."""
    labelled = (target != IGNORE_INDEX)[:, None]
    codes = torch.zeros(
        (len(target), classes, *target.shape[1:]), dtype=dtype, device=target.device
    )
    return codes.scatter_(1, target[:, None].where(labelled, 0), labelled.to(dtype))


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy, mean over pixels that are not ignored; 0 (with a graph) without such pixels.

    Args:
        logits: [B, K, ...].
        target: [B, ...] int64 class codes or ``IGNORE_INDEX``.
    """
    total = F.cross_entropy(logits, target, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / (target != IGNORE_INDEX).sum().clamp(min=1)
