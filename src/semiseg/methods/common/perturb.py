"""Perturbations of feature maps (CCT, Ouali et al. 2020; URPC; UniMatch, Yang et al. 2023).

Each function takes a tensor [B, C, ...], a list of maps (of an encoder) or a dict of maps (of a
segmenter), and returns the same form. Random numbers are drawn for each map from torch's generator. The
functions do not check the training mode.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Maps = TypeVar("Maps", Tensor, list[Tensor], dict[int, Tensor])


def drop_channels(maps: Maps, probability: float = 0.5) -> Maps:
    """Set whole channels to 0 and scale the others by 1/(1 - p) (UniMatch: p = 0.5).

    Args:
        maps: see above.
        probability: p, below 1, for each channel of each image.
    """

    def drop(x: Tensor) -> Tensor:
        keep = torch.rand(_per_channel(x), device=x.device) >= probability
        return x * (keep / (1 - probability)).to(x.dtype)

    return _each(drop, maps)


def noise_features(maps: Maps, limit: float = 0.3) -> Maps:
    """Return ``z + z * N`` with N ~ U(-limit, limit) for each element (CCT's "F-Noise").

    N differs between images; CCT's public code draws one N for all images of a batch.
    """
    return _each(lambda x: x + x * (2 * torch.rand_like(x) - 1) * limit, maps)


def drop_attended(maps: Maps, low: float = 0.7, high: float = 0.9) -> Maps:
    """Set the most active positions to 0 in all channels (CCT's "F-Drop").

    A position is kept if its mean over channels is below gamma times the largest mean of the image, with
    gamma ~ U(low, high) for each image.
    """

    def drop(x: Tensor) -> Tensor:
        attention = x.detach().mean(1, keepdim=True)
        largest = attention.flatten(1).amax(1).view(-1, *(1,) * (x.ndim - 1))
        gamma = low + (high - low) * torch.rand_like(largest)
        return x * (attention < gamma * largest)

    return _each(drop, maps)


def _per_channel(x: Tensor) -> tuple[int, ...]:
    return (*x.shape[:2], *(1,) * (x.ndim - 2))


def _each(perturb: Callable[[Tensor], Tensor], maps: Maps) -> Maps:
    if isinstance(maps, Tensor):
        return perturb(maps)
    if isinstance(maps, list):
        return [perturb(x) for x in maps]
    return {key: perturb(x) for key, x in maps.items()}
