"""U-Net of the SSL4MIS benchmark: 16-32-64-128-256 channels, batch norm, LeakyReLU, dropout.

The 3D version uses 3D operations (Cicek et al., 3D U-Net, MICCAI 2016). The spacing determines pooling
and kernels (`semiseg.networks.stages`).
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from semiseg.errors import UserError
from semiseg.networks.backbone import Backbone, NetworkConfig, Stages
from semiseg.networks.stages import (
    CONVOLUTIONS,
    POOLS,
    TRANSPOSED,
    Stage,
    check_patch_sides,
    normalisation,
    plan_stages,
)
from semiseg.networks.standardise import Standardise

FLAT = Stage((1, 1), (3, 3))
LINEAR = {2: "bilinear", 3: "trilinear"}
Upsampling = Literal["bilinear", "nearest", "transposed"]


class UNetConfig(NetworkConfig):
    """The section ``unet``."""

    channels: tuple[Annotated[int, Field(ge=1, le=8192)], ...] = Field(
        (16, 32, 64, 128, 256), min_length=2, description="channels of each stage"
    )
    dropout: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        (0.05, 0.1, 0.2, 0.3, 0.5), description="dropout rate of each encoder stage"
    )
    norm: Literal["batch", "instance"] = Field(
        "batch", description="normalisation; instance: for batches of one or two, as in 3D"
    )
    upsampling: Upsampling = Field(
        "bilinear",
        description="decoder: 1x1 convolution and interpolation (bilinear: trilinear in 3D), or transposed "
        "convolution",
    )
    standardise: Literal["none", "imagenet"] = Field(
        "none", description="standardisation of inputs in [0, 1] by ImageNet's mean and deviation"
    )

    @model_validator(mode="after")
    def _lengths(self) -> "UNetConfig":
        if len(self.channels) != len(self.dropout):
            raise ValueError("channels and dropout need one entry per stage")
        return self


class DoubleConvolution(nn.Sequential):
    """Two convolutions, each with normalisation and LeakyReLU(0.01), and dropout between them."""

    def __init__(
        self, channels: int, width: int, dropout: float, stage: Stage = FLAT, norm: str = "batch"
    ) -> None:
        dims = len(stage.kernel)
        convolution = CONVOLUTIONS[dims]
        super().__init__(
            convolution(channels, width, stage.kernel, padding=stage.padding),  # type: ignore[arg-type]
            normalisation(norm, dims, width),
            nn.LeakyReLU(0.01),
            nn.Dropout(dropout),
            convolution(width, width, stage.kernel, padding=stage.padding),  # type: ignore[arg-type]
            normalisation(norm, dims, width),
            nn.LeakyReLU(0.01),
        )


def upsample(channels: int, width: int, stride: Sequence[int], mode: Upsampling) -> nn.Module:
    """Build a layer [B, channels, ...] -> [B, width, ...] that upsamples each axis by ``stride``.

    "bilinear" is a 1x1 convolution, then interpolation with aligned corners, as in SSL4MIS.
    """
    dims = len(stride)
    if mode == "transposed":
        return TRANSPOSED[dims](channels, width, tuple(stride), stride=tuple(stride))  # type: ignore[arg-type]
    factor = tuple(float(s) for s in stride)
    enlarge = (
        nn.Upsample(scale_factor=factor, mode="nearest")
        if mode == "nearest"
        else nn.Upsample(scale_factor=factor, mode=LINEAR[dims], align_corners=True)
    )
    return nn.Sequential(CONVOLUTIONS[dims](channels, width, 1), enlarge)


class Up(nn.Module):
    """Upsampling to the skip's resolution, then convolutions on both."""

    def __init__(
        self, channels: int, width: int, below: Stage, stage: Stage, norm: str, mode: Upsampling
    ) -> None:
        """Args: below: the coarser stage; stage: the finer one."""
        super().__init__()
        self.expand = upsample(channels, width, below.stride, mode)
        self.fuse = DoubleConvolution(2 * width, width, 0.0, stage, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """[B, C, ...] and the skip [B, width, ...] -> a map of the skip's shape."""
        fused: Tensor = self.fuse(torch.cat([skip, self.expand(x)], 1))
        return fused


class UNetEncoder(Stages):
    """The contracting path."""

    def __init__(self, channels: int, config: UNetConfig, stages: Sequence[Stage]) -> None:
        super().__init__()
        imagenet = config.standardise == "imagenet"
        self.standardise = Standardise() if imagenet else nn.Identity()
        widths = config.channels
        inputs = (channels, *widths[:-1])
        self.blocks = nn.ModuleList(
            DoubleConvolution(*one, config.norm)
            for one in zip(inputs, widths, config.dropout, stages, strict=True)
        )
        pool = POOLS[len(stages[0].kernel)]
        self.pools = nn.ModuleList(pool(stage.stride) for stage in stages[1:])
        self.out_channels = widths
        self.reductions = tuple(2**i for i in range(len(widths)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, C, ...] -> maps from full resolution to the bottleneck."""
        x = self.standardise(x)
        maps: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x = block(self.pools[i - 1](x) if i else x)
            maps.append(x)
        return maps


class UNetDecoder(Stages):
    """The expanding path, with skip connections."""

    def __init__(self, config: UNetConfig, stages: Sequence[Stage]) -> None:
        super().__init__()
        widths, above = config.channels, list(reversed(range(len(stages) - 1)))
        self.blocks = nn.ModuleList(
            Up(widths[i + 1], widths[i], stages[i + 1], stages[i], config.norm, config.upsampling)
            for i in above
        )
        self.out_channels = tuple(widths[i] for i in above)
        self.reductions = tuple(2**i for i in above)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The encoder's maps -> maps from coarse to fine."""
        *skips, x = maps
        out = []
        for block in self.blocks:
            x = block(x, skips.pop())
            out.append(x)
        return out


class UNet(Backbone):
    """U-Net (Ronneberger et al. 2015; channels and dropout of SSL4MIS).

    With n stages the input's sides must be multiples of 2^(n-1), or of less along an axis with long
    voxel sides.
    """

    Config: ClassVar[type[NetworkConfig]] = UNetConfig

    def __init__(
        self, channels: int, config: UNetConfig, spacing: Sequence[float] = (1.0, 1.0)
    ) -> None:
        """Args: channels: channels of the input; config: the section ``unet``; spacing: sides of a
        pixel or voxel, one per dimension.

        Raises:
            UserError: for ImageNet's statistics with an input other than colour pictures.
        """
        super().__init__()
        self.dims = len(spacing)
        if config.standardise == "imagenet" and (channels != 3 or self.dims == 3):
            these = (
                "these are volumes"
                if self.dims == 3
                else f"these images have {channels} channel{'' if channels == 1 else 's'}"
            )
            raise UserError(
                f"unet.standardise=imagenet is for colour pictures, and {these}: use none."
            )
        self.config = config
        self.stages = plan_stages(len(config.channels), spacing)
        self.encoder = UNetEncoder(channels, config, self.stages)
        self.decoder = self.new_decoder()
        self._memory_format(self)

    def _memory_format(self, module: nn.Module) -> None:
        if self.dims == 2:
            # the native layout of oneDNN and cuDNN: a sixth faster than channels first on a CPU
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def new_decoder(self, **changes: Any) -> UNetDecoder:
        """See `Backbone`."""
        decoder = UNetDecoder(self.config.model_copy(update=changes), self.stages)
        self._memory_format(decoder)
        return decoder

    @classmethod
    def check_sides(
        cls, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> None:
        """See `Backbone`."""
        count = len(cast(UNetConfig, config).channels)
        if len(sides) == 3:
            check_patch_sides(plan_stages(count, spacing), sides, "U-Net")
            return
        size, factor = sides[0], 2 ** (count - 1)
        if size % factor:
            lower = size // factor * factor
            raise UserError(
                f"A side of {size} pixels (data.size or data.crop_size) does not fit a U-Net of "
                f"{count} stages: use a multiple of {factor}, such as {max(lower, factor)} or "
                f"{lower + factor}."
            )

    @classmethod
    def depth(cls, config: NetworkConfig, sides: Sequence[int]) -> tuple[str, object, str] | None:
        """See `Backbone`."""
        widths = cast(UNetConfig, config).channels
        count = len(widths)
        reason = (
            f"{count} stages: {sides[0]} is halved {count - 1} times, to {sides[0] // 2 ** (count - 1)}"
            if len(sides) == 2
            else f"{count} stages: {' x '.join(map(str, sides))} is halved between stages, except along axes "
            "with long voxel sides"
        )
        return "unet.channels", list(widths), reason

    @classmethod
    def create(
        cls, channels: int, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> Self:
        """See `Backbone`."""
        cls.check_sides(config, sides, spacing)
        return cls(channels, cast(UNetConfig, config), spacing)
