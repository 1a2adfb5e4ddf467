"""BATFormer: Lin, Yu, Cheng, Yan. BATFormer: towards boundary-aware lightweight transformer for efficient
medical image segmentation (IEEE JBHI 2023).

A U-Net with a quarter of the usual channels ("U-Net/4"), and two transformers on its decoder:

- The cross-scale global transformer enriches the map at 1/4. Its tokens attend to those of the maps at
  1/8 (patches of 2 x 2 pixels) and at 1/16.
- The boundary-aware local transformer enriches the map at 1/2. Its tokens attend to each other within
  windows of 16 x 16. The windows lie where the prediction at 1/4 has a high entropy
  (`semiseg.networks.boundary_windows`).

The head sees the enriched maps at 1/4 and 1/2 and the U-Net's last map, each with as many channels, side
by side at full resolution. The method ``batformer`` supervises the prediction at 1/4 and makes it the
guide of the windows.

Sizes are those of public code (the paper's text was not at hand). Departures from it:

- Other methods have no prediction at 1/4 during the forward pass: without a guide, the windows lie where the
  features at 1/4 change most.
- Maps at 1/8 and 1/16 have their own keys and values (in public code the second pair of weights is unused).
- The positions of coarse tokens are averages of the positions of the fine tokens that they cover (there the
  first ones of the list). Positions start from a truncated normal distribution of deviation 0.02 (there from
  deviation 1).
- Local attention is added to its input (there to the layer norm of its input).
- Windows are chosen for all images of a batch at once, and a window may be smaller than 16 in a small map.
  Its tokens are those of the map (there `roi_align` samples 16 x 16 values from a box of side 15).
- Both convolutions of a decoder's block have as many channels as its output (there the first one has half as
  many as the block's input). Convolutions have LeakyReLU, as the other networks here.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from semiseg.errors import UserError
from semiseg.networks.backbone import Backbone, NetworkConfig, Stages
from semiseg.networks.boundary_windows import WindowedAttention, attend, edge_strength, entropy
from semiseg.networks.stages import plan_stages
from semiseg.networks.unet import DoubleConvolution, UNetConfig, UNetEncoder

FACTOR = 16
Width = Annotated[int, Field(ge=1, le=8192)]
Heads = Annotated[int, Field(ge=1, le=1024)]


class BATFormerConfig(NetworkConfig):
    """The options of the network in the section ``batformer``."""

    channels: tuple[Width, Width, Width, Width, Width] = Field(
        (16, 32, 64, 128, 128), description="channels of each stage of the encoder"
    )
    norm: Literal["batch", "instance"] = Field(
        "batch", description="normalisation of the convolutions"
    )
    depth: int = Field(1, ge=1, le=64, description="layers of each transformer")
    heads: tuple[Heads, Heads] = Field(
        (4, 6), description="attention heads of the global and of the local transformer"
    )
    head_dim: tuple[Width, Width] = Field(
        (128, 64), description="channels of a head of the global and of the local transformer"
    )
    window: int = Field(
        16, ge=2, le=1024, multiple_of=2, description="side of a local window in pixels at 1/2"
    )
    windows: float = Field(
        0.7, gt=0, le=16, description="windows per image, as a fraction of the tiles of the map"
    )
    most_windows: int = Field(50, ge=1, le=1024, description="largest number of windows per image")
    overlap: float = Field(
        0.2, ge=0, lt=1, description="largest intersection over union of two windows"
    )
    transformer_dropout: float = Field(
        0.1, ge=0, lt=1, description="dropout rate of the transformers"
    )
    head_kernel: Literal[1, 3] = Field(1, description="kernel size of the head's convolution")


class Positions(nn.Module):
    """A learned vector per token of a map; it is interpolated for a map of another size."""

    def __init__(self, width: int, sides: Sequence[int]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, width, *sides))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, sides: Sequence[int]) -> Tensor:
        """Return [1, h, w, C] for a map of ``sides``."""
        height, width = self.table.shape[2:]
        x: Tensor = self.table
        if all(own % side == 0 for own, side in zip((height, width), sides, strict=True)):
            if list(sides) != [height, width]:
                x = F.avg_pool2d(x, (height // sides[0], width // sides[1]))
        else:
            x = F.interpolate(x, tuple(sides), mode="bilinear", align_corners=False)
        return x.movedim(1, -1)


def feed_forward(width: int, dropout: float) -> nn.Sequential:
    """Build layer norm, two linear layers with ReLU, and dropout: [..., C] -> [..., C]."""
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(4 * width, width), nn.Dropout(dropout),
    )  # fmt: skip


class GlobalLayer(nn.Module):
    """Fine tokens attend to the tokens of two coarser maps; then a feed-forward layer."""

    def __init__(self, width: int, heads: int, head_dim: int, dropout: float) -> None:
        super().__init__()
        inner = heads * head_dim
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.q = nn.Linear(width, 2 * inner, bias=False)
        self.kv = nn.ModuleList(nn.Linear(width, 2 * inner, bias=False) for _ in range(2))
        self.proj = nn.Linear(2 * inner, width)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = feed_forward(width, dropout)

    def forward(self, x: Tensor, coarse: Sequence[Tensor]) -> Tensor:
        """[B, T, C], two of [B, S, C] -> [B, T, C]."""
        queries = self.q(self.norm(x)).chunk(2, -1)
        found = []
        for query, kv, norm, y in zip(queries, self.kv, self.norms, coarse, strict=True):
            key, value = kv(norm(y)).chunk(2, -1)
            found.append(attend(query, key, value, self.heads))
        x = x + self.dropout(self.proj(torch.cat(found, -1)))
        return x + cast(Tensor, self.feed_forward(x))


class CrossScaleTransformer(nn.Module):
    """The cross-scale global transformer: maps at 1/16, 1/8 and 1/4 -> one at 1/4."""

    def __init__(self, config: BATFormerConfig, sides: Sequence[int]) -> None:
        super().__init__()
        _, fine, middle, _, coarse = config.channels
        self.width = 2 * fine
        self.embed = nn.Linear(fine, self.width)
        self.embed_middle = nn.Conv2d(middle, self.width, 2, stride=2)
        self.embed_coarse = nn.Linear(coarse, self.width)
        self.positions = Positions(self.width, [side // 4 for side in sides])
        self.dropout = nn.Dropout(config.transformer_dropout)
        self.layers = nn.ModuleList(
            GlobalLayer(self.width, config.heads[0], config.head_dim[0], config.transformer_dropout)
            for _ in range(config.depth)
        )

    def forward(self, coarse: Tensor, middle: Tensor, fine: Tensor) -> Tensor:
        """[B, C, h, w] at 1/16, 1/8 and 1/4 -> [B, width, h, w] at 1/4."""
        maps = (
            self.embed(fine.movedim(1, -1)),
            self.embed_middle(middle).movedim(1, -1),
            self.embed_coarse(coarse.movedim(1, -1)),
        )
        x, *others = (self.dropout(m + self.positions(m.shape[1:3])).flatten(1, 2) for m in maps)
        for layer in self.layers:
            x = layer(x, others)
        return x.transpose(1, 2).unflatten(2, fine.shape[2:])


class LocalLayer(nn.Module):
    """Attention within chosen windows; then a feed-forward layer on all tokens."""

    def __init__(self, width: int, config: BATFormerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = WindowedAttention(
            width, config.heads[1], config.head_dim[1], config.window, config.windows,
            config.most_windows, config.overlap, config.transformer_dropout,
        )  # fmt: skip
        self.feed_forward = feed_forward(width, config.transformer_dropout)

    def forward(self, x: Tensor, uncertainty: Tensor) -> Tensor:
        """[B, H, W, C] and [B, H/2, W/2] -> [B, H, W, C]."""
        x = x + self.attention(self.norm(x), uncertainty)
        return x + cast(Tensor, self.feed_forward(x))


class BoundaryTransformer(nn.Module):
    """The boundary-aware local transformer: a map at 1/2 and an uncertainty at 1/4 -> a map at 1/2."""

    def __init__(self, config: BATFormerConfig, sides: Sequence[int]) -> None:
        super().__init__()
        self.width = 2 * config.channels[0]
        self.embed = nn.Linear(config.channels[0], self.width)
        self.positions = Positions(self.width, [side // 2 for side in sides])
        self.dropout = nn.Dropout(config.transformer_dropout)
        self.layers = nn.ModuleList(LocalLayer(self.width, config) for _ in range(config.depth))

    def forward(self, x: Tensor, uncertainty: Tensor) -> Tensor:
        """[B, C, H, W] and [B, H/2, W/2] -> [B, width, H, W]."""
        x = self.embed(x.movedim(1, -1))
        x = self.dropout(x + self.positions(x.shape[1:3]))
        for layer in self.layers:
            x = layer(x, uncertainty)
        return x.movedim(-1, 1)


class BATFormerDecoder(Stages):
    """The decoder of U-Net/4 and both transformers. It returns maps at 1/8, 1/4, 1/2 and 1.

    Attributes:
        guide: a convolution from the map at 1/4 to logits of the classes, whose entropy chooses the
            windows. A method sets it and supervises it; None: the windows follow the features' edges.
    """

    guide: nn.Module | None

    def __init__(self, config: BATFormerConfig, sides: Sequence[int]) -> None:
        super().__init__()
        skips = config.channels[3::-1]
        outputs = (*skips[1:], config.channels[0])
        inputs = (config.channels[4], *outputs)
        self.fuse = nn.ModuleList(
            DoubleConvolution(below + skip, out, 0.0, norm=config.norm)
            for below, skip, out in zip(inputs, skips, outputs, strict=False)
        )
        self.width = 4 * config.channels[0]
        self.cross_scale = CrossScaleTransformer(config, sides)
        self.boundary = BoundaryTransformer(config, sides)
        self.project = nn.ModuleList(
            nn.Conv2d(channels, self.width, 1, bias=False)
            for channels in (config.channels[0], self.boundary.width, self.cross_scale.width)
        )
        self.register_module("guide", None)
        self.out_channels = (outputs[0], self.width, self.width, 3 * self.width)
        self.reductions = (8, 4, 2, 1)

    def uncertainty(self, quarter: Tensor) -> Tensor:
        """[B, C, H/4, W/4] -> [B, H/4, W/4], high at boundaries; without a gradient."""
        with torch.no_grad():
            if self.guide is None:
                return edge_strength(quarter.float())
            found = entropy(self.guide(quarter).float().softmax(1))
        # older torch keeps the guide's weights in half precision without a graph (pytorch issue 112583)
        torch.clear_autocast_cache()
        return found

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The encoder's maps -> maps at 1/8, 1/4, 1/2 and full resolution."""
        *skips, x = maps
        decoded = [x]
        for fuse in self.fuse:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
            x = fuse(torch.cat([skips.pop(), x], 1))
            decoded.append(x)
        full, half, quarter = self.project
        at4 = quarter(self.cross_scale(*decoded[:3]))
        at2 = half(self.boundary(decoded[3], self.uncertainty(at4)))
        at1 = full(decoded[4])
        wide = [at1, *(F.interpolate(m, at1.shape[2:], mode="nearest") for m in (at2, at4))]
        return [decoded[1], at4, at2, torch.cat(wide, 1)]


class BATFormer(Backbone):
    """BATFormer without its head. The input's sides must be multiples of 16."""

    Config: ClassVar[type[NetworkConfig]] = BATFormerConfig
    dims = 2

    def __init__(self, channels: int, config: BATFormerConfig, sides: Sequence[int]) -> None:
        """Args: channels: channels of the input; sides: height and width of the input."""
        super().__init__()
        self.config, self.sides = config, tuple(sides)
        unet = UNetConfig(channels=config.channels, dropout=(0.0,) * 5, norm=config.norm)
        self.encoder = UNetEncoder(channels, unet, plan_stages(5, (1.0, 1.0)))
        self.decoder: BATFormerDecoder = self.new_decoder()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def new_decoder(self, **changes: Any) -> BATFormerDecoder:
        """See `Backbone`; ``channels`` cannot differ."""
        return BATFormerDecoder(self.config.model_copy(update=changes), self.sides)

    @classmethod
    def check_sides(
        cls, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> None:
        """See `Backbone`."""
        size = sides[0]
        if size % FACTOR:
            lower = size // FACTOR * FACTOR
            raise UserError(
                f"A side of {size} pixels (data.size or data.crop_size) does not fit BATFormer: use a "
                f"multiple of {FACTOR}, such as {max(lower, FACTOR)} or {lower + FACTOR}."
            )

    @classmethod
    def create(
        cls, channels: int, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> Self:
        """See `Backbone`."""
        cls.check_sides(config, sides, spacing)
        return cls(channels, cast(BATFormerConfig, config), sides)
