"""Losses on signed distance maps as a second task (SASSNet, Li et al. 2020; DTC, Luo et al. 2021).

Maps are [B, K - 1, ...] in [-1, 1], one per foreground class, and negative inside the class
(`semiseg.data.distance_maps`). A network predicts them with a tanh.
"""

from torch import Tensor

from semiseg.losses.masked_mean import masked_mean
from semiseg.losses.precision import at_least_single


def distance_mse(predicted: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return ``(s - s*)^2``, mean over classes and pixels (SASSNet, DTC).

    Args:
        predicted: [B, K - 1, ...] after the tanh.
        target: [B, K - 1, ...] maps of the true labels.
        mask: [B, ...], pixels to average over, such as ``labels != IGNORE_INDEX``; None: all.

    Returns:
        A scalar.
    """
    return masked_mean((at_least_single(predicted) - at_least_single(target)).square(), mask)


def distance_to_probability(distance: Tensor, steepness: float = 1500.0) -> Tensor:
    """Return ``sigmoid(-k s)``, a smooth step from outside (0) to inside (1) (DTC: k = 1500).

    Args:
        distance: [B, K - 1, ...] predicted maps.
        steepness: k.

    Returns:
        [B, K - 1, ...] probabilities of the foreground classes, which need not sum to 1.
    """
    return (-steepness * at_least_single(distance)).sigmoid()
