"""Cross entropy with a weight per class."""

import torch.nn.functional as F
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.precision import at_least_single


def weighted_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return ``sum_i w_{y_i} (-ln p_{i, y_i}) / sum_i w_{y_i}`` over pixels that are not ignored.

    0 (with a graph) without such pixels. With it, CoraNet (Shi et al. 2022) assigns the costs of
    misclassification.

    Args:
        logits: [B, K, ...].
        target: [B, ...] int64 class codes or ``IGNORE_INDEX``.
        weights: [K], positive.

    Returns:
        A scalar.
    """
    logits = at_least_single(logits)
    weights = weights.to(logits.dtype)
    labelled = target != IGNORE_INDEX
    total = F.cross_entropy(logits, target, weights, ignore_index=IGNORE_INDEX, reduction="sum")
    counted = (weights[target.where(labelled, 0)] * labelled).sum()
    return total / counted.clamp(min=1e-8)
