"""Losses with pseudo-labels: Dice over a confidence mask, and cross entropy and Dice with probabilities."""

import torch
from torch import Tensor

from semiseg.losses.dice import dice_loss
from semiseg.losses.precision import at_least_single


def pseudo_label_dice(logits: Tensor, pseudo_label: Tensor) -> Tensor:
    """Dice of a prediction with a pseudo-label, over the pixels that have one (UniMatch, AD-MT).

    ``1/K sum_k [1 - (2 sum m p_k t_k + s) / (sum m p_k^2 + sum m t_k^2 + s)]``, where m is 0 at ignored
    pixels and the inner sums run over batch and pixels. 0 if all pixels are ignored.

    Args:
        logits: [B, K, ...].
        pseudo_label: [B, ...] int64 class codes, or ``IGNORE_INDEX`` outside the mask.

    Returns:
        A scalar.
    """
    return dice_loss(at_least_single(logits).softmax(1), pseudo_label)


def soft_label_loss(logits: Tensor, target: Tensor, smooth: float = 1e-5) -> Tensor:
    """Return ``0.5 (CE + Dice)`` with probabilities as targets.

    ``CE = mean of -sum_k q_k ln p_k`` over pixels; ``Dice = 1/K sum_k [1 - (2 sum p_k q_k + s) /
    (sum p_k^2 + sum q_k^2 + s)]``, where the inner sums run over batch and pixels. Equal to
    `semiseg.losses.dice.supervised_loss` if each target is 0 or 1.

    Args:
        logits: [B, K, ...].
        target: [B, K, ...] probabilities q; pixels whose sum is 0 are ignored.
        smooth: s.

    Returns:
        A scalar; 0 if all pixels are ignored.
    """
    logits, q = at_least_single(logits), at_least_single(target)
    counts = (q.sum(1, keepdim=True) > 0).to(logits.dtype)
    log_p = logits.log_softmax(1)
    p = log_p.exp() * counts
    dims = [0, *range(2, q.ndim)]
    dice = 1 - (2 * (p * q).sum(dims) + smooth) / (
        p.square().sum(dims) + q.square().sum(dims) + smooth
    )
    entropy = -(q * log_p).sum() / counts.sum().clamp(min=torch.finfo(q.dtype).tiny)
    return 0.5 * (entropy + dice.mean())
