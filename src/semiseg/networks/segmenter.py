"""A backbone with its segmentation head."""

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from semiseg.networks.stages import CONVOLUTIONS


class Backbone(Protocol):
    """What a network owes (see `semiseg.networks`)."""

    dims: int
    out_channels: Sequence[int]
    reductions: Sequence[int]

    def features(self, x: Tensor) -> list[Tensor]:
        """[B, C, (D,) H, W] -> maps from coarse to fine."""


class Segmenter(nn.Module):
    """A backbone and one convolution on its full-resolution map."""

    def __init__(
        self, backbone: nn.Module, classes: int, kernel: int = 3, sigmoid: bool = False
    ) -> None:
        """Args: kernel: of the head; sigmoid: of two classes only one gets a channel (see `classify`)."""
        super().__init__()
        self.backbone = backbone
        contract = cast(Backbone, backbone)
        self.out_channels = dict(zip(contract.reductions, contract.out_channels, strict=True))
        self.sigmoid = sigmoid and classes == 2
        outputs = 1 if self.sigmoid else classes
        convolution = CONVOLUTIONS[contract.dims]
        self.head = convolution(self.out_channels[1], outputs, kernel, padding=kernel // 2)

    def features(self, x: Tensor) -> dict[int, Tensor]:
        """[B, C, (D,) H, W] -> maps by reduction (1: full resolution, 4: a quarter, ...)."""
        backbone = cast(Backbone, self.backbone)
        return dict(zip(backbone.reductions, backbone.features(x), strict=True))

    def classify(self, features: dict[int, Tensor]) -> Tensor:
        """The logits [B, K, (D,) H, W] of a forward pass's features.

        A sigmoid's one logit z becomes (0, z), whose softmax is that sigmoid: two classes are then
        what any number of classes is.
        """
        logits: Tensor = self.head(features[1])
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.sigmoid else logits

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, (D,) H, W] -> logits [B, K, (D,) H, W]."""
        return self.classify(self.features(x))
