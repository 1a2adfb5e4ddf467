"""Supervision of a coarse prediction by the fraction of each class in a cell (BATFormer, Lin et al. 2023).

A cell on a boundary contains several classes. Its target is their fractions instead of one class, so the
prediction is uncertain there.
"""

import torch.nn.functional as F
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.ignore import one_hot
from semiseg.losses.masked_mean import masked_mean
from semiseg.losses.precision import at_least_single


def class_fractions(target: Tensor, classes: int, factor: int) -> tuple[Tensor, Tensor]:
    """Return the fractions of the classes among the labelled pixels of each cell, and the majority.

    Args:
        target: [B, H, W] int64 class codes or ``IGNORE_INDEX``.
        classes: K.
        factor: side of a cell in pixels; H and W are multiples of it.

    Returns:
        [B, K, H/f, W/f] float32 fractions, and [B, H/f, W/f] int64, the most frequent class (the first
        of several). A cell without a labelled pixel has zeros and ``IGNORE_INDEX``.
    """
    share = F.avg_pool2d(one_hot(target, classes), factor)
    labelled = share.sum(1, keepdim=True)
    fractions = share / labelled.clamp(min=1e-8)
    majority = share.argmax(1).masked_fill(labelled[:, 0] == 0, IGNORE_INDEX)
    return fractions, majority


def fraction_loss(probabilities: Tensor, fractions: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the smooth L1 distance, mean over classes and cells.

    ``d^2 / 2`` for ``|d| < 1``, where ``d = p - fraction``; probabilities do not differ by more.

    Args:
        probabilities: [B, K, h, w] after the softmax.
        fractions: [B, K, h, w] of `class_fractions`.
        mask: [B, h, w], cells to average over, such as ``majority != IGNORE_INDEX``; None: all.

    Returns:
        A scalar.
    """
    probabilities = at_least_single(probabilities)
    return masked_mean(0.5 * (probabilities - fractions.to(probabilities.dtype)).square(), mask)
