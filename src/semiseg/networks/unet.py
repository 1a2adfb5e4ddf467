"""The thin U-Net of the field's benchmark: 16-32-64-128-256, batch norm, LeakyReLU, dropout."""

import torch
from torch import Tensor, nn

from semiseg.config import UNetConfig
from semiseg.errors import UserError


class DoubleConvolution(nn.Sequential):
    """Two 3x3 convolutions with batch norm and LeakyReLU(0.01), dropout between them."""

    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.01),
            nn.Dropout(dropout),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.01),
        )


class Up(nn.Module):
    """A transposed convolution to the skip's resolution, then both fused."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.expand = nn.ConvTranspose2d(channels, width, 2, stride=2)
        self.fuse = DoubleConvolution(2 * width, width, 0.0)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """[B, C, H, W] and the skip [B, width, 2H, 2W] -> [B, width, 2H, 2W]."""
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

    With n levels the input's sides must be multiples of 2^(n-1).
    """

    def __init__(self, channels: int, config: UNetConfig) -> None:
        """Args: channels: of the input; config: width and dropout of each level.

        Raises:
            UserError: for ImageNet's statistics and an input that is not red, green and blue.
        """
        super().__init__()
        if config.standardise == "imagenet" and channels != 3:
            raise UserError(
                f"unet.standardise imagenet is for colour pictures; these images have {channels} "
                f"channel{'' if channels == 1 else 's'}: take none."
            )
        self.standardise = Standardise() if config.standardise == "imagenet" else nn.Identity()
        widths = config.channels
        inputs = (channels, *widths[:-1])
        self.encoder = nn.ModuleList(
            DoubleConvolution(*level) for level in zip(inputs, widths, config.dropout, strict=True)
        )
        self.decoder = nn.ModuleList(
            Up(widths[i + 1], widths[i]) for i in reversed(range(len(widths) - 1))
        )
        self.pool = nn.MaxPool2d(2)
        self.out_channels = tuple(reversed(widths[:-1]))
        self.reductions = tuple(2**i for i in reversed(range(len(widths) - 1)))
        # the layout oneDNN and cuDNN compute in: a sixth faster than channels first on a CPU
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def check_size(self, size: int) -> None:
        """Raise a `UserError` where ``size`` cannot be halved often enough."""
        factor = 2 ** len(self.decoder)
        if size % factor:
            lower = size // factor * factor
            raise UserError(
                f"data.size {size} does not fit a U-Net of {len(self.encoder)} levels: "
                f"take a multiple of {factor}, such as {max(lower, factor)} or {lower + factor}."
            )

    def encode(self, x: Tensor) -> list[Tensor]:
        """[B, C, H, W] -> the encoder's maps, from full resolution to the bottleneck."""
        x = self.standardise(x)
        maps: list[Tensor] = []
        for i, block in enumerate(self.encoder):
            x = block(self.pool(x) if i else x)
            maps.append(x)
        return maps

    def features(self, x: Tensor) -> list[Tensor]:
        """[B, C, H, W] -> the decoder's maps, coarse to fine, the last at full resolution."""
        skips = self.encode(x)
        x = skips.pop()
        maps = []
        for block in self.decoder:
            x = block(x, skips.pop())
            maps.append(x)
        return maps
