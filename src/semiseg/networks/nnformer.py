"""nnFormer: Zhou, Guo, Zhang, Han, Yu, Wang, Yu. nnFormer: volumetric medical image segmentation via a 3D
transformer (IEEE TIP 2023).

Four convolutions embed the volume at a quarter of its resolution. Transformer stages follow, with strided
convolutions between them and transposed convolutions in the decoder. The finer stages attend within
local windows of 4 x 4 x 4 tokens, the bottleneck (the two coarsest stages) to all tokens. The first block
of a decoder's stage attends to the encoder's map (skip attention). The last layer expands the tokens to
the input's resolution.

Sizes are those of public code for ACDC (96 channels, heads of 32 channels, two blocks per stage). Its layers
were read in public code. Departures:

- The spacing determines strides and kernels (`semiseg.networks.stages`): an axis with long voxel sides is
  not reduced at first. The paper chooses them for each data set.
- Any side fits that is a multiple of the embedding's stride (4, or 1 or 2 along an axis with long voxel
  sides). Maps of odd sides are halved upwards, and the decoder crops. Windows are made smaller to cover a
  map evenly, and padded tokens are masked.
- "Global" windows have at most 12 tokens per axis, so that attention in large maps fits into memory.
- Shifted windows are masked and applied in the encoder too, as the paper describes. In public code
  the mask is not used.
- The last layer has a fixed number of channels, and the head's 1x1x1 convolution follows without a
  nonlinearity. Together they are the paper's single layer. It has a layer norm in front of it, as the other
  expansions; in public code the last one has none.
- Skip attention has a layer norm for each of the two maps. In public code they share one.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import Field
from torch import Tensor, nn

from semiseg.errors import UserError
from semiseg.networks.backbone import Backbone, NetworkConfig, Stages
from semiseg.networks.stages import Stage, plan_stages
from semiseg.networks.volume_attention import SkipBlock, VolumeBlock

EMBEDDING = 2  # halvings of the embedding


class NNFormerConfig(NetworkConfig):
    """The options of the network in the section ``nnformer``."""

    embed_dim: int = Field(96, ge=2, le=8192, description="channels of the first stage")
    depths: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        (2, 2, 2, 2), min_length=2, max_length=8, description="transformer blocks of each stage"
    )
    head_dim: int = Field(32, ge=1, le=8192, description="channels of an attention head")
    window: int = Field(4, ge=1, le=64, description="largest side of a local window in tokens")
    global_window: int = Field(
        12, ge=1, le=64, description="largest side of a window in the two coarsest stages"
    )
    drop_path: float = Field(0.2, ge=0, lt=1, description="largest rate of stochastic depth")
    expanded_channels: int = Field(
        24, ge=1, le=8192, description="channels of the map at full resolution"
    )
    head_kernel: Literal[1, 3] = Field(1, description="kernel size of the head's convolution")


class Normalised(nn.Module):
    """Layer norm over the channels of [B, C, D, H, W], and before it GELU if ``activate``."""

    def __init__(self, width: int, activate: bool = False) -> None:
        super().__init__()
        self.activation = nn.GELU() if activate else nn.Identity()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, D, H, W] -> the same shape."""
        out: Tensor = self.norm(self.activation(x).movedim(1, -1)).movedim(-1, 1)
        return out


def convolution(channels: int, width: int, stage: Stage, strided: bool = True) -> nn.Conv3d:
    """Build a convolution with the kernel and, if ``strided``, the stride of a stage."""
    stride = stage.stride if strided else 1
    return nn.Conv3d(channels, width, stage.kernel, stride, stage.padding)  # type: ignore[arg-type]


def expansion(channels: int, width: int, stride: Sequence[int]) -> nn.Sequential:
    """Build layer norm and a transposed convolution that enlarges by ``stride``."""
    return nn.Sequential(
        Normalised(channels), nn.ConvTranspose3d(channels, width, tuple(stride), tuple(stride))  # type: ignore[arg-type]
    )  # fmt: skip


def embedding(channels: int, width: int, stages: Sequence[Stage]) -> nn.Sequential:
    """Build the four convolutions: [B, channels, D, H, W] -> [B, width, D/4, H/4, W/4]."""
    half = max(width // 2, 1)
    first, second = stages
    return nn.Sequential(
        convolution(channels, half, first), Normalised(half, True),
        convolution(half, half, first, strided=False), Normalised(half, True),
        convolution(half, width, second), Normalised(width, True),
        convolution(width, width, second, strided=False), Normalised(width),
    )  # fmt: skip


class Plan:
    """Sizes shared by encoder and decoder, from fine to coarse."""

    def __init__(
        self, config: NNFormerConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> None:
        """Args: sides: of the input in voxels; spacing: sides of a voxel."""
        count = len(config.depths)
        self.config = config
        stages = plan_stages(1 + EMBEDDING + count - 1, spacing)
        self.embedding, self.stages = stages[1 : 1 + EMBEDDING], stages[1 + EMBEDDING :]
        self.stem = tuple(math.prod(s.stride[axis] for s in self.embedding) for axis in range(3))
        self.widths = [config.embed_dim * 2**i for i in range(count)]
        self.sides = [tuple(s // f for s, f in zip(sides, self.stem, strict=True))]
        for stage in self.stages:
            finer = zip(self.sides[-1], stage.stride, strict=True)
            self.sides.append(tuple(-(-side // stride) for side, stride in finer))
        self.reductions = tuple(2 ** (EMBEDDING + i) for i in range(count))

    def heads(self, i: int) -> int:
        """Return the number of heads of the i-th resolution."""
        return self.widths[i] // self.config.head_dim

    def largest(self, i: int) -> int:
        """Return the largest side of a window of the i-th resolution."""
        wide = i >= len(self.widths) - 2
        return self.config.global_window if wide else self.config.window

    def block(self, i: int, number: int, rate: float) -> VolumeBlock:
        """Build a block of the i-th resolution; windows of every second one are shifted."""
        return VolumeBlock(
            self.widths[i], self.heads(i), self.sides[i], self.largest(i), bool(number % 2), rate
        )


class NNFormerEncoder(Stages):
    """Embedding, and stages of transformer blocks with strided convolutions between them."""

    def __init__(self, channels: int, plan: Plan) -> None:
        super().__init__()
        depths, widths = plan.config.depths, plan.widths
        total, largest = sum(depths), plan.config.drop_path
        rates = iter([largest * i / max(total - 1, 1) for i in range(total)])
        self.embed = embedding(channels, widths[0], plan.embedding)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(plan.block(i, number, next(rates)) for number in range(depth)))
            for i, depth in enumerate(depths)
        )
        self.down = nn.ModuleList(
            nn.Sequential(Normalised(width, True), convolution(width, 2 * width, stage))
            for width, stage in zip(widths, plan.stages, strict=False)
        )
        self.norms = nn.ModuleList(Normalised(width) for width in widths)
        self.out_channels = tuple(widths)
        self.reductions = plan.reductions

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, C, D, H, W] -> maps [B, width, d, h, w] from 1/4 to the bottleneck."""
        x = self.embed(x)
        maps: list[Tensor] = []
        for number, (blocks, norm) in enumerate(zip(self.blocks, self.norms, strict=True)):
            if number:
                x = self.down[number - 1](x)
            x = blocks(x.movedim(1, -1)).movedim(-1, 1)
            maps.append(norm(x))
        return maps


class NNFormerDecoder(Stages):
    """Transposed convolutions, each followed by skip attention and further blocks; the expansion."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        config, widths = plan.config, plan.widths
        above = list(reversed(range(len(widths) - 1)))
        total = sum(config.depths[i] for i in above)
        rates = iter([config.drop_path * i / max(total - 1, 1) for i in range(total)])
        self.up = nn.ModuleList(
            expansion(widths[i + 1], widths[i], plan.stages[i].stride) for i in above
        )
        self.skip, self.blocks = nn.ModuleList(), nn.ModuleList()
        for i in above:
            self.skip.append(
                SkipBlock(widths[i], plan.heads(i), plan.sides[i], plan.largest(i), next(rates))
            )
            more = (plan.block(i, number, next(rates)) for number in range(1, config.depths[i]))
            self.blocks.append(nn.Sequential(*more))
        self.expand = expansion(widths[0], config.expanded_channels, plan.stem)
        self.out_channels = (*(widths[i] for i in above), config.expanded_channels)
        self.reductions = (*(plan.reductions[i] for i in above), 1)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The encoder's maps -> maps [B, width, d, h, w] to 1/4, and at full resolution."""
        *skips, x = maps
        out: list[Tensor] = []
        for up, attention, blocks in zip(self.up, self.skip, self.blocks, strict=True):
            skip = skips.pop()
            depth, height, width = skip.shape[2:]
            x = up(x)[:, :, :depth, :height, :width].movedim(1, -1)
            x = blocks(attention(x, skip.movedim(1, -1))).movedim(-1, 1)
            out.append(x)
        return [*out, self.expand(x)]


class NNFormer(Backbone):
    """nnFormer without its head."""

    Config: ClassVar[type[NetworkConfig]] = NNFormerConfig
    dims = 3

    def __init__(
        self,
        channels: int,
        config: NNFormerConfig,
        sides: Sequence[int],
        spacing: Sequence[float],
    ) -> None:
        """Args: channels: channels of the input; sides: of the input; spacing: sides of a voxel.

        Raises:
            UserError: if the channels cannot be divided into heads.
        """
        super().__init__()
        if config.embed_dim % config.head_dim:
            raise UserError(
                f"nnformer.embed_dim {config.embed_dim} must be a multiple of nnformer.head_dim "
                f"{config.head_dim}: change one of them."
            )
        self.layout = tuple(sides), tuple(spacing)
        self.config = config
        plan = Plan(config, sides, spacing)
        self.stem = plan.stem
        self.strides = [stage.stride for stage in plan.stages]
        self.encoder: NNFormerEncoder = NNFormerEncoder(channels, plan)
        self.decoder: NNFormerDecoder = NNFormerDecoder(plan)
        self.apply(_initialise)

    def new_decoder(self, **changes: Any) -> NNFormerDecoder:
        """See `Backbone`; ``embed_dim`` and the number of stages cannot differ."""
        decoder = NNFormerDecoder(Plan(self.config.model_copy(update=changes), *self.layout))
        decoder.apply(_initialise)
        return decoder

    @classmethod
    def check_sides(
        cls, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> None:
        """See `Backbone`."""
        steps = Plan(cast(NNFormerConfig, config), sides, spacing).stem
        fitting = [max(round(s / f), 1) * f for s, f in zip(sides, steps, strict=True)]
        if list(sides) != fitting:
            raise UserError(
                f"data.patch {list(sides)} does not fit nnFormer: use multiples of {list(steps)}, such as "
                f"{fitting}."
            )

    @classmethod
    def create(
        cls, channels: int, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> Self:
        """See `Backbone`."""
        cls.check_sides(config, sides, spacing)
        return cls(channels, cast(NNFormerConfig, config), sides, spacing)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
