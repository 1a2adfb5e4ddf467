"""Pixels of feature maps as points with a class, for looking at what a network has learned."""

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.data.task import NOT_DRAWN

Points = tuple[Tensor, Tensor]
"""[V, D] and the class of each, [V]."""


def shrink_labels(labels: Tensor, side: int) -> Tensor:
    """[B, H, W] -> [B, side, side]; 'nearest' would shift by half a cell."""
    if labels.shape[-1] == side:
        return labels
    return F.interpolate(labels[:, None].float(), (side, side), mode="nearest-exact")[:, 0].long()


def sample_pixels(features: Tensor, labels: Tensor, per_class: int = 200) -> Points:
    """Up to ``per_class`` pixels of each class, drawn from torch's generator.

    Args:
        features: [B, C, h, w].
        labels: [B, H, W] int64, the truth at full resolution; what is not drawn is left out.
    """
    codes = shrink_labels(labels, features.shape[-1]).flatten()
    pixels = features.movedim(1, -1).flatten(0, 2)
    chosen = []
    for code in codes[codes != NOT_DRAWN].unique():
        place = (codes == code).nonzero()[:, 0]
        chosen.append(place[torch.randperm(len(place), device=place.device)[:per_class]])
    rows = torch.cat(chosen) if chosen else codes.new_empty(0)
    return pixels[rows].float(), codes[rows]
