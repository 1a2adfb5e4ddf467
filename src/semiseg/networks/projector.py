"""Projectors into a common embedding space, whose last layer several networks share (MCSC)."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn


class SharedProjector(nn.Module):
    """One scale's projectors: 1x1 convolution and ReLU per network, then one shared 1x1 convolution.

    "Both branches only share the parameters of the last layer in the feature space projectors."
    A 1x1 convolution is a linear layer on every pixel, so pixels may come in any arrangement.
    """

    def __init__(self, channels: Mapping[str, int], hidden: int, width: int) -> None:
        """Args: channels: of each network's map, by the network's name."""
        super().__init__()
        self.first = nn.ModuleDict({name: nn.Linear(c, hidden) for name, c in channels.items()})
        self.shared = nn.Linear(hidden, width)

    def forward(self, pixels: Tensor, network: str) -> Tensor:
        """[..., C] features of pixels -> [..., width], not yet normalised."""
        rows = pixels.flatten(0, -2)  # a linear layer on rows is a quarter faster than on a block
        projected: Tensor = self.shared(F.relu(self.first[network](rows), inplace=True))
        return projected.unflatten(0, pixels.shape[:-1])
