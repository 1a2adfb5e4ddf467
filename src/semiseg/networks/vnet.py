"""V-Net: Milletari, Navab, Ahmadi. V-Net: fully convolutional neural networks for volumetric medical
image segmentation (3DV 2016).

Residual stages of one to three convolutions, strided convolutions instead of pooling, PReLU. As in
UA-MT (Yu et al., MICCAI 2019): kernels of 3 instead of 5, a normalisation after each convolution, and
dropout at the bottom. Our choice: a decoder's stage has as many channels as the encoder's (in the paper
twice as many), and its residual is the upsampled map, so the maps have the shapes of a U-Net's.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from semiseg.networks.backbone import Backbone, NetworkConfig, Stages
from semiseg.networks.stages import (
    CONVOLUTIONS,
    TRANSPOSED,
    Stage,
    check_patch_sides,
    normalisation,
    plan_stages,
)


class VNetConfig(NetworkConfig):
    """The section ``vnet``. The default head is the paper's 1x1x1 convolution."""

    channels: tuple[Annotated[int, Field(ge=1, le=8192)], ...] = Field(
        (16, 32, 64, 128, 256), min_length=2, description="channels of each stage"
    )
    blocks: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        (1, 2, 3, 3, 3), description="convolutions of each stage"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout rate at the bottom")
    norm: Literal["batch", "instance"] = Field("batch", description="normalisation")
    head_kernel: Literal[1, 3] = Field(1, description="kernel size of the head's convolution")

    @model_validator(mode="after")
    def _lengths(self) -> "VNetConfig":
        if len(self.channels) != len(self.blocks):
            raise ValueError("channels and blocks need one entry per stage")
        return self


class Residual(nn.Module):
    """``blocks`` convolutions; ``shortcut`` is added before the last PReLU."""

    def __init__(self, channels: int, width: int, blocks: int, stage: Stage, norm: str) -> None:
        super().__init__()
        dims = len(stage.kernel)
        layers: list[nn.Module] = []
        for number in range(blocks):
            inputs = width if number else channels
            layers.append(CONVOLUTIONS[dims](inputs, width, stage.kernel, padding=stage.padding))  # type: ignore[arg-type]
            layers.append(normalisation(norm, dims, width))
            if number < blocks - 1:
                layers.append(nn.PReLU(width))
        self.body = nn.Sequential(*layers)
        self.activation = nn.PReLU(width)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """[B, channels, ...] and [B, width, ...] (or [B, 1, ...]) -> [B, width, ...]."""
        out: Tensor = self.activation(self.body(x) + shortcut)
        return out


def change(channels: int, width: int, stage: Stage, norm: str, up: bool) -> nn.Sequential:
    """Build the strided convolution between two stages; ``stage`` is the coarser one."""
    dims = len(stage.kernel)
    convolution = (TRANSPOSED if up else CONVOLUTIONS)[dims]
    return nn.Sequential(
        convolution(channels, width, stage.stride, stride=stage.stride),  # type: ignore[arg-type]
        normalisation(norm, dims, width),
        nn.PReLU(width),
    )


class VNetEncoder(Stages):
    """Residual stages, each after a strided convolution; dropout at the bottom."""

    def __init__(self, channels: int, config: VNetConfig, stages: Sequence[Stage]) -> None:
        super().__init__()
        widths, blocks, norm = config.channels, config.blocks, config.norm
        self.blocks = nn.ModuleList(
            Residual(w if i else channels, w, blocks[i], stages[i], norm)
            for i, w in enumerate(widths)
        )
        self.down = nn.ModuleList(
            change(widths[i - 1], widths[i], stages[i], norm, False) for i in range(1, len(widths))
        )
        self.dropout = nn.Dropout(config.dropout)
        self.out_channels = widths
        self.reductions = tuple(2**i for i in range(len(widths)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, C, ...] -> maps from full resolution to the bottleneck."""
        # the paper repeats its single channel; with several channels, repeat their mean
        maps = [self.blocks[0](x, x.mean(1, keepdim=True))]
        for step, block in zip(self.down, list(self.blocks)[1:], strict=True):
            x = step(maps[-1])
            maps.append(block(x, x))
        maps[-1] = self.dropout(maps[-1])
        return maps


class VNetDecoder(Stages):
    """Residual stages, each on a transposed convolution's output and the skip connection."""

    def __init__(self, config: VNetConfig, stages: Sequence[Stage]) -> None:
        super().__init__()
        widths, blocks, norm = config.channels, config.blocks, config.norm
        above = list(reversed(range(len(widths) - 1)))
        self.up = nn.ModuleList(
            change(widths[i + 1], widths[i], stages[i + 1], norm, True) for i in above
        )
        self.blocks = nn.ModuleList(
            Residual(2 * widths[i], widths[i], blocks[i], stages[i], norm) for i in above
        )
        self.out_channels = tuple(widths[i] for i in above)
        self.reductions = tuple(2**i for i in above)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The encoder's maps -> maps from coarse to fine."""
        *skips, x = maps
        out = []
        for step, block in zip(self.up, self.blocks, strict=True):
            x = step(x)
            x = block(torch.cat([x, skips.pop()], 1), x)
            out.append(x)
        return out


class VNet(Backbone):
    """V-Net. It accepts the same sides and returns maps of the same shapes as `UNet`."""

    Config: ClassVar[type[NetworkConfig]] = VNetConfig

    def __init__(self, channels: int, config: VNetConfig, spacing: Sequence[float]) -> None:
        """Args: channels: channels of the input; spacing: sides of a voxel, one per axis."""
        super().__init__()
        self.dims = len(spacing)
        self.config = config
        self.stages = plan_stages(len(config.channels), spacing)
        self.encoder = VNetEncoder(channels, config, self.stages)
        self.decoder = self.new_decoder()

    def new_decoder(self, **changes: Any) -> VNetDecoder:
        """See `Backbone`."""
        return VNetDecoder(self.config.model_copy(update=changes), self.stages)

    @classmethod
    def check_sides(
        cls, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> None:
        """See `Backbone`."""
        stages = plan_stages(len(cast(VNetConfig, config).channels), spacing)
        check_patch_sides(stages, sides, "V-Net")

    @classmethod
    def create(
        cls, channels: int, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> Self:
        """See `Backbone`."""
        cls.check_sides(config, sides, spacing)
        return cls(channels, cast(VNetConfig, config), spacing)
