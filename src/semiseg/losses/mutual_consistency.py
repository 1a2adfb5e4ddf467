"""Mutual consistency of several predictions (MC-Net, Wu et al. 2021; MC-Net+, Wu et al. 2022)."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from semiseg.losses.consistency import softmax_mse


def mutual_consistency(predictions: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Return ``sum_{i != j} MSE(p_i, q_j)``, each a mean over images, classes and pixels.

    MC-Net+, L_mc: q_j is the sharpened p_j. Both arguments receive a gradient.

    Args:
        predictions: n tensors p_i [B, K, ...] of probabilities, n at least 2.
        targets: n tensors q_i of the same shape.

    Returns:
        A scalar.
    """
    pairs = itertools.permutations(range(len(predictions)), 2)
    return torch.stack([softmax_mse(predictions[i], targets[j]) for i, j in pairs]).sum()
