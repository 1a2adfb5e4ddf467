"""V-Net: Milletari, Navab, Ahmadi. V-Net: fully convolutional neural networks for volumetric medical
image segmentation (3DV 2016).

Residual stages of one to three convolutions, learned convolutions in place of pooling, PReLU. As the
field's semi-supervised benchmarks have it (Yu et al., UA-MT, MICCAI 2019): kernels of 3 in place of 5,
a normalisation after each convolution, dropout at the bottom. Of ours: a decoder's stage is as wide as
the encoder's (the paper's twice), and adds to what came from below, so that maps are those of a U-Net.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semiseg.config import VNetConfig
from semiseg.networks.stages import (
    CONVOLUTIONS,
    TRANSPOSED,
    Stage,
    check_sides,
    normalisation,
    plan_stages,
)


class Residual(nn.Module):
    """``blocks`` convolutions, the input (or what is given to add) added before the last PReLU."""

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
    """The learned step between two stages, ``stage`` being the coarser one."""
    dims = len(stage.kernel)
    convolution = (TRANSPOSED if up else CONVOLUTIONS)[dims]
    return nn.Sequential(
        convolution(channels, width, stage.stride, stride=stage.stride),  # type: ignore[arg-type]
        normalisation(norm, dims, width),
        nn.PReLU(width),
    )


class VNet(nn.Module):
    """V-Net without its head; takes the same sides and gives maps of the same shapes as `UNet`."""

    def __init__(self, channels: int, config: VNetConfig, spacing: Sequence[float]) -> None:
        """Args: channels: of the input; spacing: the sides of a voxel, one an axis."""
        super().__init__()
        self.dims = len(spacing)
        widths, blocks = config.channels, config.blocks
        self.stages = stages = plan_stages(len(widths), spacing)
        below = range(1, len(widths))
        above = list(reversed(range(len(widths) - 1)))
        self.encoder = nn.ModuleList(
            Residual(w if i else channels, w, blocks[i], stages[i], config.norm)
            for i, w in enumerate(widths)
        )
        self.down = nn.ModuleList(
            change(widths[i - 1], widths[i], stages[i], config.norm, False) for i in below
        )
        self.dropout = nn.Dropout(config.dropout)
        self.up = nn.ModuleList(
            change(widths[i + 1], widths[i], stages[i + 1], config.norm, True) for i in above
        )
        self.decoder = nn.ModuleList(
            Residual(2 * widths[i], widths[i], blocks[i], stages[i], config.norm) for i in above
        )
        self.out_channels = tuple(reversed(widths[:-1]))
        self.reductions = tuple(2**i for i in above)

    def check_size(self, sides: Sequence[int]) -> None:
        """Raise a `UserError` for sides that cannot be halved as often as the stages do."""
        check_sides(self.stages, sides, "V-Net")

    def features(self, x: Tensor) -> list[Tensor]:
        """[B, C, ...] -> the decoder's maps, coarse to fine, the last at full resolution."""
        # the paper repeats its one channel to the first stage's width; of several, their mean
        skips = [self.encoder[0](x, x.mean(1, keepdim=True))]
        for step, stage in zip(self.down, list(self.encoder)[1:], strict=True):
            x = step(skips[-1])
            skips.append(stage(x, x))
        x = self.dropout(skips.pop())
        maps = []
        for step, stage in zip(self.up, self.decoder, strict=True):
            x = step(x)
            x = stage(torch.cat([x, skips.pop()], 1), x)
            maps.append(x)
        return maps
