"""A backbone with its segmentation head."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semiseg.networks.backbone import Backbone, NetworkConfig, Stages
from semiseg.networks.stages import CONVOLUTIONS


class Segmenter(nn.Module):
    """A backbone and one convolution on its full-resolution map.

    A method that needs several outputs combines `encode`, `decode` with decoders from `new_decoder`,
    and heads from `new_head`.
    """

    def __init__(self, backbone: Backbone, classes: int, config: NetworkConfig) -> None:
        """Args: config: configuration of the backbone, for the options of the head."""
        super().__init__()
        self.backbone = backbone
        self.config = config
        self.notes = tuple(backbone.notes)
        self.out_channels = dict(zip(backbone.reductions, backbone.out_channels, strict=True))
        self.sigmoid = config.sigmoid and classes == 2
        self.head = self.new_head(1 if self.sigmoid else classes)

    @property
    def encoder(self) -> Stages:
        """The encoder: [B, C, (D,) H, W] -> maps from fine to coarse."""
        return self.backbone.encoder

    @property
    def decoder(self) -> Stages:
        """The main decoder: the encoder's maps -> maps from coarse to fine."""
        return self.backbone.decoder

    def new_decoder(self, **changes: object) -> Stages:
        """Build another decoder for the same encoder (see `Backbone.new_decoder`)."""
        return self.backbone.new_decoder(**changes)

    def new_head(self, outputs: int, scale: int = 1, kernel: int | None = None) -> nn.Module:
        """Build a convolution on a decoder's map: [B, out_channels[scale], ...] -> [B, outputs, ...].

        Args:
            outputs: number of output channels.
            scale: reduction of the map; 1: full resolution.
            kernel: kernel size; default: ``head_kernel`` of the configuration.
        """
        side = kernel or self.config.head_kernel
        convolution = CONVOLUTIONS[self.backbone.dims]
        return convolution(self.out_channels[scale], outputs, side, padding=side // 2)

    def encode(self, x: Tensor) -> list[Tensor]:
        """[B, C, (D,) H, W] -> the encoder's maps, fine to coarse."""
        maps: list[Tensor] = self.encoder(x)
        return maps

    def decode(self, maps: Sequence[Tensor], decoder: Stages | None = None) -> dict[int, Tensor]:
        """The encoder's maps -> a decoder's maps by reduction; default: the main decoder."""
        chosen = decoder if decoder is not None else self.decoder
        return dict(zip(chosen.reductions, chosen(maps), strict=True))

    def features(self, x: Tensor) -> dict[int, Tensor]:
        """[B, C, (D,) H, W] -> maps by reduction (1: full resolution, 4: a quarter, ...)."""
        return self.decode(self.encode(x))

    def classify(self, features: dict[int, Tensor]) -> Tensor:
        """Return the logits [B, K, (D,) H, W] for the features of a forward pass.

        With one sigmoid channel the logits are (0, z); their softmax equals the sigmoid of z.
        """
        logits: Tensor = self.head(features[1])
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.sigmoid else logits

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, (D,) H, W] -> logits [B, K, (D,) H, W]."""
        return self.classify(self.features(x))
