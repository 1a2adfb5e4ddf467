"""Soft Dice, and the supervised loss of the field: half cross entropy, half Dice."""

import torch
import torch.nn.functional as F
from torch import Tensor


def dice_loss(probabilities: Tensor, target: Tensor, smooth: float = 1e-5) -> Tensor:
    """Soft Dice with squared denominators, mean over all classes with background.

    ``1/K sum_k [1 - (2 sum p_k t_k + s) / (sum p_k^2 + sum t_k^2 + s)]``, where the inner sums run
    over batch and pixels (MCSC, equation 1's ``L_dice``; Milletari et al. 2016 for the squares).

    Args:
        probabilities: [B, K, ...] after the softmax.
        target: [B, ...] int64 class codes.
        smooth: s.

    Returns:
        A scalar.
    """
    classes = probabilities.shape[1]
    one_hot = F.one_hot(target, classes).movedim(-1, 1).to(probabilities.dtype)
    dims = [0, *range(2, probabilities.ndim)]
    overlap = (probabilities * one_hot).sum(dims)
    size = (probabilities * probabilities).sum(dims) + one_hot.sum(dims)
    return (1 - (2 * overlap + smooth) / (size + smooth)).mean()


def supervised_loss(logits: Tensor, target: Tensor) -> Tensor:
    """``0.5 (CE + Dice)``, the supervised loss of MCSC and of the methods it compares with.

    Args:
        logits: [B, K, ...].
        target: [B, ...] int64 class codes.
    """
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    return 0.5 * (F.cross_entropy(logits, target) + dice_loss(logits.softmax(1), target))
