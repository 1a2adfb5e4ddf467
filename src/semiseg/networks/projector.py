"""Projectors into a common embedding space, with a last layer shared by the networks (MCSC)."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn


class SharedProjector(nn.Module):
    """Projectors of one scale: 1x1 convolution and ReLU per network, then a shared 1x1 convolution.

    "Both branches only share the parameters of the last layer in the feature space projectors."
    A 1x1 convolution is a linear layer on every pixel, so pixels can have any order.
    """

    def __init__(self, channels: Mapping[str, int], hidden: int, width: int) -> None:
        """Args: channels: channels of each network's map, by the network's name."""
        super().__init__()
        self.first = nn.ModuleDict({name: nn.Linear(c, hidden) for name, c in channels.items()})
        self.shared = nn.Linear(hidden, width)

    def forward(self, pixels: Tensor, network: str) -> Tensor:
        """Features of pixels [..., C] -> [..., width], not normalised."""
        rows = pixels.flatten(0, -2)  # a linear layer is a quarter faster on two axes than on more
        projected: Tensor = self.shared(F.relu(self.first[network](rows), inplace=True))
        return projected.unflatten(0, pixels.shape[:-1])
