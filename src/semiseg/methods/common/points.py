"""Pixels of feature maps as points with a class, to inspect feature spaces."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX

Points = tuple[Tensor, Tensor]
"""Points [V, D] and their classes [V]."""


def shrink_labels(labels: Tensor, sides: Sequence[int]) -> Tensor:
    """Resize labels: [B, (D,) H, W] -> [B, *sides]; mode 'nearest' would shift by half a cell."""
    if labels.shape[1:] == tuple(sides):
        return labels
    small = F.interpolate(labels[:, None].float(), tuple(sides), mode="nearest-exact")
    return small[:, 0].long()


def sample_pixels(features: Tensor, labels: Tensor, per_class: int = 200) -> Points:
    """Draw up to ``per_class`` pixels of each class from torch's generator.

    Args:
        features: [B, C, (d,) h, w].
        labels: [B, (D,) H, W] int64 true labels at full resolution; ignored pixels are left out.
    """
    codes = shrink_labels(labels, features.shape[2:]).flatten()
    pixels = features.movedim(1, -1).flatten(0, -2)
    chosen = []
    for code in codes[codes != IGNORE_INDEX].unique():
        place = (codes == code).nonzero()[:, 0]
        chosen.append(place[torch.randperm(len(place), device=place.device)[:per_class]])
    rows = torch.cat(chosen) if chosen else codes.new_empty(0)
    return pixels[rows].float(), codes[rows]
