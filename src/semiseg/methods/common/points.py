"""Pixels of feature maps as points with a class, for looking at what a network has learned."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX

Points = tuple[Tensor, Tensor]
"""[V, D] and the class of each, [V]."""


def shrink_labels(labels: Tensor, sides: Sequence[int]) -> Tensor:
    """[B, (D,) H, W] -> [B, *sides]; 'nearest' would shift by half a cell."""
    if labels.shape[1:] == tuple(sides):
        return labels
    small = F.interpolate(labels[:, None].float(), tuple(sides), mode="nearest-exact")
    return small[:, 0].long()


def sample_pixels(features: Tensor, labels: Tensor, per_class: int = 200) -> Points:
    """Up to ``per_class`` pixels of each class, drawn from torch's generator.

    Args:
        features: [B, C, (d,) h, w].
        labels: [B, (D,) H, W] int64, the truth at full resolution; ignored pixels are left out.
    """
    codes = shrink_labels(labels, features.shape[2:]).flatten()
    pixels = features.movedim(1, -1).flatten(0, -2)
    chosen = []
    for code in codes[codes != IGNORE_INDEX].unique():
        place = (codes == code).nonzero()[:, 0]
        chosen.append(place[torch.randperm(len(place), device=place.device)[:per_class]])
    rows = torch.cat(chosen) if chosen else codes.new_empty(0)
    return pixels[rows].float(), codes[rows]
