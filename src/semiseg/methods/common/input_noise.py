"""Noise on the images that a teacher sees."""

import torch
from torch import Tensor


def input_noise(images: Tensor, deviation: float = 0.1, limit: float = 0.2) -> Tensor:
    """``x + clamp(deviation N(0, 1), -limit, limit)``, drawn for each element.

    As in UA-MT (Yu et al. 2019) and the mean teacher of the field's benchmark.

    Args:
        images: [B, C, ...]; ``deviation`` and ``limit`` have its unit.
    """
    return images + (torch.randn_like(images) * deviation).clamp(-limit, limit)
