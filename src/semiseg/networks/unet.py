"""The thin U-Net of the field's benchmark: 16-32-64-128-256, batch norm, LeakyReLU, dropout.

In three dimensions the same with 3D operations (Cicek et al., 3D U-Net, MICCAI 2016), pooling and
kernels by the voxels' shape (`semiseg.networks.stages`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semiseg.config import UNetConfig
from semiseg.errors import UserError
from semiseg.networks.stages import (
    CONVOLUTIONS,
    POOLS,
    TRANSPOSED,
    Stage,
    check_sides,
    normalisation,
    plan_stages,
)

FLAT = Stage((1, 1), (3, 3))


class DoubleConvolution(nn.Sequential):
    """Two convolutions with a normalisation and LeakyReLU(0.01) each, dropout between them."""

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


class Up(nn.Module):
    """A transposed convolution to the skip's resolution, then both fused."""

    def __init__(self, channels: int, width: int, below: Stage, stage: Stage, norm: str) -> None:
        """Args: below: the stage that is left; stage: the one that is come to."""
        super().__init__()
        transposed = TRANSPOSED[len(stage.kernel)]
        self.expand = transposed(channels, width, below.stride, stride=below.stride)  # type: ignore[arg-type]
        self.fuse = DoubleConvolution(2 * width, width, 0.0, stage, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """[B, C, ...] and the skip [B, width, ...] -> a map of the skip's shape."""
        fused: Tensor = self.fuse(torch.cat([skip, self.expand(x)], 1))
        return fused


class Standardise(nn.Module):
    """Pictures in [0, 1] less ImageNet's mean, by its deviation, a channel."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", [0.485, 0.456, 0.406]), ("deviation", [0.229, 0.224, 0.225])):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> the same shape."""
        return (x - self.mean) / self.deviation


class UNet(nn.Module):
    """U-Net without its head (Ronneberger et al. 2015; widths and dropout of the field's benchmark).

    With n stages the input's sides must be multiples of 2^(n-1); of fewer halvings along an axis of
    long voxels.
    """

    def __init__(
        self, channels: int, config: UNetConfig, spacing: Sequence[float] = (1.0, 1.0)
    ) -> None:
        """Args: channels: of the input; config: width and dropout of each stage; spacing: the sides
        of a pixel or voxel, which say how many dimensions there are.

        Raises:
            UserError: for ImageNet's statistics and an input that is not red, green and blue.
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
                f"unet.standardise imagenet is for colour pictures; {these}: take none."
            )
        self.standardise = Standardise() if config.standardise == "imagenet" else nn.Identity()
        widths = config.channels
        self.stages = stages = plan_stages(len(widths), spacing)
        inputs = (channels, *widths[:-1])
        self.encoder = nn.ModuleList(
            DoubleConvolution(*stage, config.norm)
            for stage in zip(inputs, widths, config.dropout, stages, strict=True)
        )
        self.decoder = nn.ModuleList(
            Up(widths[i + 1], widths[i], stages[i + 1], stages[i], config.norm)
            for i in reversed(range(len(widths) - 1))
        )
        pool = POOLS[self.dims]
        self.pools = nn.ModuleList(pool(stage.stride) for stage in stages[1:])
        self.out_channels = tuple(reversed(widths[:-1]))
        self.reductions = tuple(2**i for i in reversed(range(len(widths) - 1)))
        if self.dims == 2:
            # the layout oneDNN and cuDNN compute in: a sixth faster than channels first on a CPU
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def check_size(self, size: int | Sequence[int]) -> None:
        """Raise a `UserError` where ``size`` (of a square, or a box's sides) cannot be halved often."""
        if not isinstance(size, int):
            check_sides(self.stages, size, "U-Net")
            return
        factor = 2 ** len(self.decoder)
        if size % factor:
            lower = size // factor * factor
            raise UserError(
                f"data.size {size} does not fit a U-Net of {len(self.encoder)} stages: "
                f"take a multiple of {factor}, such as {max(lower, factor)} or {lower + factor}."
            )

    def encode(self, x: Tensor) -> list[Tensor]:
        """[B, C, ...] -> the encoder's maps, from full resolution to the bottleneck."""
        x = self.standardise(x)
        maps: list[Tensor] = []
        for i, block in enumerate(self.encoder):
            x = block(self.pools[i - 1](x) if i else x)
            maps.append(x)
        return maps

    def features(self, x: Tensor) -> list[Tensor]:
        """[B, C, ...] -> the decoder's maps, coarse to fine, the last at full resolution."""
        skips = self.encode(x)
        x = skips.pop()
        maps = []
        for block in self.decoder:
            x = block(x, skips.pop())
            maps.append(x)
        return maps
