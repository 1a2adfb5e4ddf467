"""Signed distance maps as a second task (SASSNet, Li et al. 2020; DTC, Luo et al. 2021).

Maps are [B, K - 1, ...], one for each foreground class, in [-1, 1]: negative within the class
(`semiseg.data.distance_maps`). A network predicts them by a tanh.
"""

from torch import Tensor

from semiseg.losses.masked_mean import masked_mean
from semiseg.losses.precision import at_least_single


def distance_mse(predicted: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """``(s - s*)^2``, mean over classes and pixels (SASSNet, DTC).

    Args:
        predicted: [B, K - 1, ...] after the tanh.
        target: [B, K - 1, ...] of the truth.
        mask: [B, ...] of the pixels that count, such as ``labels != IGNORE_INDEX``; None for all.

    Returns:
        A scalar.
    """
    return masked_mean((at_least_single(predicted) - at_least_single(target)).square(), mask)


def distance_to_probability(distance: Tensor, steepness: float = 1500.0) -> Tensor:
    """``sigmoid(-k s)``: a smooth step from outside (0) to inside (1) (DTC: k = 1500).

    Args:
        distance: [B, K - 1, ...] predicted maps.
        steepness: k.

    Returns:
        [B, K - 1, ...] probabilities of the foreground classes; they need not add up to 1.
    """
    return (-steepness * at_least_single(distance)).sigmoid()
