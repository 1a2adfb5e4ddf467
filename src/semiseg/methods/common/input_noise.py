"""Noise on the input of a teacher."""

import torch
from torch import Tensor


def input_noise(images: Tensor, deviation: float = 0.1, limit: float = 0.2) -> Tensor:
    """Return ``x + clamp(deviation N(0, 1), -limit, limit)``, drawn for each element.

    As in UA-MT (Yu et al. 2019) and the mean teacher of the SSL4MIS benchmark.

    Args:
        images: [B, C, ...].
        deviation: standard deviation, in the unit of ``images``.
        limit: largest absolute value of the noise, in the same unit.
    """
    return images + (torch.randn_like(images) * deviation).clamp(-limit, limit)
