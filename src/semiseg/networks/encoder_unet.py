"""A U-Net whose encoder is that of an image classifier, pretrained on ImageNet.

The decoder is that of the U-Net: at each scale it enlarges the map, joins the encoder's map of that scale,
and convolves twice. The full resolution has no map of the encoder.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from semiseg.errors import UserError
from semiseg.networks.backbone import Backbone, NetworkConfig, Stages
from semiseg.networks.efficientnet_lite import EfficientNetLite
from semiseg.networks.imagenet_weights import load_imagenet, missing_download
from semiseg.networks.resnet import ResNet
from semiseg.networks.standardise import Standardise
from semiseg.networks.unet import DoubleConvolution, Upsampling

REDUCTION = 32  # of the coarsest map of every encoder
Encoder = Literal[
    "efficientnet-lite0",
    "efficientnet-lite1",
    "efficientnet-lite2",
    "resnet18",
    "resnet34",
    "resnet50",
]


class EncoderUNetConfig(NetworkConfig):
    """The section ``encoder-unet``."""

    encoder: Encoder = Field(
        "efficientnet-lite0", description="the classifier whose convolutions are the encoder"
    )
    pretrained: str = Field(
        "package",
        description="initial weights of the encoder: those of an installed package, 'hub' (a download), "
        "'none' or a file",
    )
    channels: tuple[Annotated[int, Field(ge=1, le=8192)], ...] = Field(
        (256, 128, 64, 32, 16),
        min_length=5,
        max_length=5,
        description="channels of the decoder's maps, from coarse to fine",
    )
    upsampling: Upsampling = Field(
        "nearest", description="decoder: interpolation, or transposed convolution"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout rate of the encoder's coarsest map"
    )
    encoder_learning_rate_scale: float = Field(
        0.3, gt=0, description="further factor of the encoder's learning rate"
    )


class ClassifierEncoder(Stages):
    """A classifier's convolutions on standardised images."""

    def __init__(self, channels: int, config: EncoderUNetConfig) -> None:
        super().__init__()
        kind = ResNet if config.encoder.startswith("resnet") else EfficientNetLite
        self.body = kind(config.encoder, channels)
        self.dropout = nn.Dropout(config.dropout)
        self.standardise = Standardise(kind.mean, kind.deviation, channels)
        self.out_channels, self.reductions = self.body.out_channels, self.body.reductions

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, C, H, W] -> maps of reduction 2 to 32."""
        maps: list[Tensor] = self.body(self.standardise(x))
        return [*maps[:-1], self.dropout(maps[-1])]


def enlarge(channels: int, mode: Upsampling) -> nn.Module:
    """Build a layer [B, channels, H, W] -> [B, channels, 2 H, 2 W]."""
    if mode == "transposed":
        return nn.ConvTranspose2d(channels, channels, 2, 2)
    corners = True if mode == "bilinear" else None
    return nn.Upsample(scale_factor=2.0, mode=mode, align_corners=corners)


class Decoder(Stages):
    """Upsampling to each scale, and two convolutions on the map and the encoder's."""

    def __init__(self, encoder: Sequence[int], config: EncoderUNetConfig) -> None:
        """Args: encoder: channels of the encoder's maps, from fine to coarse."""
        super().__init__()
        skips = [*reversed(encoder[:-1]), 0]
        inputs = (encoder[-1], *config.channels)
        self.enlarge = nn.ModuleList(enlarge(below, config.upsampling) for below in inputs[:-1])
        self.blocks = nn.ModuleList(
            DoubleConvolution(below + skip, width, 0.0)
            for below, skip, width in zip(inputs[:-1], skips, config.channels, strict=True)
        )
        self.out_channels = config.channels
        self.reductions = tuple(2**i for i in reversed(range(len(skips))))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The encoder's maps -> maps from coarse to fine."""
        *skips, x = maps
        out = []
        for larger, block in zip(self.enlarge, self.blocks, strict=True):
            x = larger(x)
            x = block(torch.cat([x, skips.pop()], 1) if skips else x)
            out.append(x)
        return out


class EncoderUNet(Backbone):
    """U-Net on a classifier's encoder, for slices and pictures of any number of channels."""

    Config: ClassVar[type[NetworkConfig]] = EncoderUNetConfig
    dims = 2

    def __init__(self, channels: int, config: EncoderUNetConfig) -> None:
        """Args: channels: channels of the input; config: the section ``encoder-unet``.

        Raises:
            UserError: if the pretrained weights are missing or do not fit.
        """
        super().__init__()
        self.config = config
        self.encoder = ClassifierEncoder(channels, config)
        body = self.encoder.body
        self.notes = [load_imagenet(body, body.stem, config.encoder, config.pretrained)]
        self.decoder = self.new_decoder()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def new_decoder(self, **changes: Any) -> Decoder:
        """See `Backbone`."""
        decoder = Decoder(self.encoder.out_channels, self.config.model_copy(update=changes))
        return decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def check_sides(
        cls, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> None:
        """See `Backbone`."""
        size = sides[0]
        # batch norm needs more than one pixel of an image in the coarsest map
        if size % REDUCTION or size == REDUCTION:
            lower = max(size // REDUCTION * REDUCTION, 2 * REDUCTION)
            raise UserError(
                f"A side of {size} pixels (data.size or data.crop_size) does not fit encoder-unet: use a "
                f"multiple of {REDUCTION} from {2 * REDUCTION} on, such as {lower} or {lower + REDUCTION}."
            )

    @classmethod
    def downloads(cls, config: NetworkConfig) -> Sequence[str]:
        """See `Backbone`."""
        own = cast(EncoderUNetConfig, config)
        return missing_download(own.encoder, own.pretrained)

    @classmethod
    def create(
        cls, channels: int, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> Self:
        """See `Backbone`."""
        cls.check_sides(config, sides, spacing)
        return cls(channels, cast(EncoderUNetConfig, config))
