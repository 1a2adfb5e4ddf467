"""Swin-Unet "tiny" (Cao et al. 2021) on the Swin Transformer (Liu et al. 2021).

The encoder's parameters have the names of the official Swin release, so its ImageNet weights load
by name (`semiseg.networks.swin_weights`).
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from semiseg.errors import UserError
from semiseg.networks.backbone import Backbone, NetworkConfig, Stages
from semiseg.networks.swin_weights import OFFICIAL, load_pretrained
from semiseg.networks.weight_files import announced

PATCH = 4


class SwinConfig(NetworkConfig):
    """The section ``swin``. The learning rate scale is for training together with a CNN."""

    embed_dim: int = Field(96, ge=8, le=8192, description="channels of the first stage")
    depths: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        (2, 2, 2, 2), description="blocks per stage"
    )
    head_dim: int = Field(32, ge=1, le=8192, description="channels of an attention head")
    window: int | None = Field(
        None,
        ge=1,
        description="side of an attention window in tokens; default: chosen for the size",
    )
    drop_path: float = Field(0.2, ge=0, lt=1, description="largest rate of stochastic depth")
    pretrained: str = Field("none", description="initial weights: 'none', 'hub' or a Swin-T file")
    learning_rate_scale: float = Field(0.2, gt=0, description="factor of training.learning_rate")
    warmup: float = Field(0.05, ge=0, lt=1, description="linear warm-up, as a fraction of the run")


def default_window(size: int, stages: int = 4) -> int:
    """Return a window of at most 12 that tiles every stage of a ``size`` x ``size`` input.

    The first that fits of 8 to 4, 12 to 9 and 3 to 1: 7 at 224, 8 at 256 and 128, 6 at 96. A stage
    smaller than the window uses its own side.

    Raises:
        UserError: if ``size`` does not fit; the message names sizes that do.
    """
    factor = PATCH * 2 ** (stages - 1)
    if size % factor == 0:
        sides = [size // PATCH // 2**i for i in range(stages)]
        for limit in (range(8, 3, -1), range(12, 8, -1), range(3, 0, -1)):
            for window in limit:
                if all(side <= window or side % window == 0 for side in sides):
                    return window
    lower = size // factor * factor
    raise UserError(
        f"A side of {size} pixels (data.size or data.crop_size) does not fit Swin-Unet: use a "
        f"multiple of {factor}, such as {max(lower, factor)} or {lower + factor}."
    )


class DropPath(nn.Module):
    """Stochastic depth: drop a sample's residual branch with probability ``rate``."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] -> the same shape."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        kept = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(keep)
        return x * kept / keep


class WindowAttention(nn.Module):
    """Multi-head attention within windows, with a relative position bias."""

    relative_position_index: Tensor

    def __init__(self, width: int, window: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        axis = torch.arange(window)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij")).flatten(1)
        offset = grid[:, :, None] - grid[:, None, :] + window - 1
        self.register_buffer(
            "relative_position_index", offset[0] * (2 * window - 1) + offset[1], persistent=False
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x: [B, windows, T, C]; mask: [windows, 1, T, T], added to the logits, or None."""
        batch, windows, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, windows, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        logits = (q * (width // self.heads) ** -0.5) @ k.transpose(-2, -1) + bias
        if mask is not None:
            logits = logits + mask
        out: Tensor = self.proj((logits.softmax(-1) @ v).transpose(2, 3).reshape(x.shape))
        return out


class Mlp(nn.Module):
    """Two linear layers with GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class SwinBlock(nn.Module):
    """One block of (shifted) window attention on a map with a fixed side."""

    mask: Tensor | None

    def __init__(
        self, width: int, side: int, heads: int, window: int, shifted: bool, drop_path: float
    ) -> None:
        super().__init__()
        self.window = min(window, side)
        self.shift = self.window // 2 if shifted and side > self.window else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, self.window, heads)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)
        self.register_buffer("mask", self._mask(side) if self.shift else None, persistent=False)

    def _mask(self, side: int) -> Tensor:
        """Build the mask between tokens that are adjacent only because of the cyclic shift."""
        cuts = (slice(0, -self.window), slice(-self.window, -self.shift), slice(-self.shift, None))
        region = torch.zeros(1, side, side, 1)
        for i, rows in enumerate(cuts):
            for j, columns in enumerate(cuts):
                region[:, rows, columns] = 3 * i + j
        region = self._windows(region)[0, :, :, 0]
        apart = region[:, :, None] != region[:, None, :]
        return torch.zeros(apart.shape).masked_fill(apart, -100.0)[:, None]

    def _windows(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, windows, T, C]."""
        b, h, w, c = x.shape
        s = self.window
        x = x.reshape(b, h // s, s, w // s, s, c).transpose(2, 3)
        return x.reshape(b, -1, s * s, c)

    def _join(self, x: Tensor, side: int) -> Tensor:
        b, _, _, c = x.shape
        s = self.window
        x = x.reshape(b, side // s, side // s, s, s, c).transpose(2, 3)
        return x.reshape(b, side, side, c)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, H, W, C]."""
        y = self.norm1(x)
        if self.shift:
            y = y.roll((-self.shift, -self.shift), (1, 2))
        y = self._join(self.attn(self._windows(y), self.mask), x.shape[1])
        if self.shift:
            y = y.roll((self.shift, self.shift), (1, 2))
        x = x + self.drop_path(y)
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class PatchMerging(nn.Module):
    """[B, H, W, C] -> [B, H/2, W/2, 2C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate neighbours in the order of the official weights."""
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        out: Tensor = self.reduction(self.norm(x))
        return out


class PatchExpanding(nn.Module):
    """[B, H, W, C] -> [B, f H, f W, out]: a linear layer and a rearrangement, then layer norm."""

    def __init__(self, width: int, out: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.expand = nn.Linear(width, factor * factor * out, bias=False)
        self.norm = nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        b, h, w, _ = x.shape
        f = self.factor
        x = self.expand(x).reshape(b, h, w, f, f, -1).transpose(2, 3)
        out: Tensor = self.norm(x.reshape(b, h * f, w * f, -1))
        return out


class PatchEmbed(nn.Module):
    """A 4x4 convolution with stride 4, then layer norm."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, H/4, W/4, width]."""
        out: Tensor = self.norm(self.proj(x).movedim(1, -1))
        return out


class Stage(nn.Module):
    """The blocks of one resolution and, in the encoder, the patch merging after them."""

    def __init__(
        self,
        width: int,
        side: int,
        config: SwinConfig,
        window: int,
        rates: list[float],
        merge: bool,
    ) -> None:
        super().__init__()
        if width % config.head_dim:
            raise UserError(
                f"swin.embed_dim {config.embed_dim} must be a multiple of swin.head_dim "
                f"{config.head_dim}: change one of them."
            )
        self.blocks = nn.ModuleList(
            SwinBlock(width, side, width // config.head_dim, window, bool(i % 2), rate)
            for i, rate in enumerate(rates)
        )
        self.downsample = PatchMerging(width) if merge else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> the same shape, before ``downsample``, as the skip connection needs."""
        for block in self.blocks:
            x = block(x)
        return x


class Plan:
    """Sizes shared by encoder and decoder."""

    def __init__(self, config: SwinConfig, size: int, window: int) -> None:
        """Args: size: side of the input."""
        stages, total = len(config.depths), sum(config.depths)
        self.widths = [config.embed_dim * 2**i for i in range(stages)]
        self.sides = [size // PATCH // 2**i for i in range(stages)]
        rates = [config.drop_path * i / max(total - 1, 1) for i in range(total)]
        starts = [sum(config.depths[:i]) for i in range(stages)]
        self.rates = [rates[s : s + d] for s, d in zip(starts, config.depths, strict=True)]
        self.config, self.window = config, window

    def stage(self, i: int, merge: bool) -> Stage:
        """Build the blocks of the i-th resolution."""
        return Stage(
            self.widths[i], self.sides[i], self.config, self.window, self.rates[i], merge
        )  # fmt: skip


class SwinEncoder(Stages):
    """Swin Transformer, with the parameter names of the official release."""

    def __init__(self, channels: int, plan: Plan) -> None:
        super().__init__()
        stages = len(plan.widths)
        self.channels = 3 if channels == 1 else channels
        self.patch_embed = PatchEmbed(self.channels, plan.widths[0])
        self.layers = nn.ModuleList(plan.stage(i, i < stages - 1) for i in range(stages))
        self.norm = nn.LayerNorm(plan.widths[-1])
        self.out_channels = tuple(plan.widths)
        self.reductions = tuple(PATCH * 2**i for i in range(stages))

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, C, S, S] -> maps [B, width, s, s] from 1/4 to the bottleneck."""
        if x.shape[1] == 1:
            x = x.expand(-1, self.channels, -1, -1)
        x = self.patch_embed(x)
        maps: list[Tensor] = []
        for stage in self.layers:
            x = stage(x)
            if isinstance(stage.downsample, PatchMerging):
                maps.append(x.movedim(-1, 1))
                x = stage.downsample(x)
        return [*maps, self.norm(x).movedim(-1, 1)]


class SwinDecoder(Stages):
    """The mirrored decoder: patch expanding, skip connections, blocks.

    It returns maps after the stage at 1/8 (with its own layer norm), before the final 4x expansion
    (1/4) and after it (full resolution).
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        widths, stages = plan.widths, len(plan.widths)
        above = list(reversed(range(stages - 1)))  # coarse to fine
        self.expand_up = nn.ModuleList(PatchExpanding(widths[i + 1], widths[i], 2) for i in above)
        self.fuse_up = nn.ModuleList(nn.Linear(2 * widths[i], widths[i]) for i in above)
        self.layers_up = nn.ModuleList(plan.stage(i, False) for i in above)
        self.norm_eighth = nn.LayerNorm(widths[1]) if stages > 2 else None
        self.norm_up = nn.LayerNorm(widths[0])
        self.expand = PatchExpanding(widths[0], widths[0], PATCH)
        eighth = self.norm_eighth is not None
        self.out_channels = ((widths[1],) if eighth else ()) + (widths[0], widths[0])
        self.reductions = ((2 * PATCH,) if eighth else ()) + (PATCH, 1)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The encoder's maps -> maps [B, width, s, s] at 1/8, 1/4 and full resolution."""
        *skips, x = (m.movedim(1, -1) for m in maps)
        out: list[Tensor] = []
        for expand, fuse, stage in zip(self.expand_up, self.fuse_up, self.layers_up, strict=True):
            x = stage(fuse(torch.cat([expand(x), skips.pop()], -1)))
            if len(skips) == 1 and self.norm_eighth is not None:
                out.append(self.norm_eighth(x).movedim(-1, 1))
        x = self.norm_up(x)
        return [*out, x.movedim(-1, 1), self.expand(x).movedim(-1, 1)]


class SwinUnet(Backbone):
    """Swin-Unet without its head."""

    Config: ClassVar[type[NetworkConfig]] = SwinConfig
    dims = 2

    def __init__(self, channels: int, size: int, config: SwinConfig) -> None:
        """Args: channels: channels of the input (one channel is repeated to three); size: its side.

        Raises:
            UserError: if the size or the window does not fit.
        """
        super().__init__()
        self.plan = Plan(config, size, find_window(size, config))
        self.encoder: SwinEncoder = SwinEncoder(channels, self.plan)
        self.decoder: SwinDecoder = SwinDecoder(self.plan)
        self.apply(_initialise)

    def new_decoder(self, **changes: Any) -> SwinDecoder:
        """See `Backbone`; ``depths``, ``embed_dim`` and ``window`` cannot differ."""
        plan = Plan(
            self.plan.config.model_copy(update=changes), self.plan.sides[0] * PATCH,
            self.plan.window,
        )  # fmt: skip
        decoder = SwinDecoder(plan)
        decoder.apply(_initialise)
        return decoder

    def use_scales(self, scales: Sequence[int]) -> None:
        """See `Backbone`. An unused layer norm at 1/8 would make several processes wait for it."""
        if self.decoder.norm_eighth is not None and 2 * PATCH not in scales:
            self.decoder.norm_eighth.requires_grad_(False)

    @classmethod
    def check_sides(
        cls, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> None:
        """See `Backbone`."""
        find_window(sides[0], cast(SwinConfig, config))

    @classmethod
    def downloads(cls, config: NetworkConfig) -> Sequence[str]:
        """See `Backbone`."""
        return announced(OFFICIAL, 110) if cast(SwinConfig, config).pretrained == "hub" else []

    @classmethod
    def create(
        cls, channels: int, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> Self:
        """See `Backbone`; loads the weights that ``swin.pretrained`` names."""
        own = cast(SwinConfig, config)
        network = cls(channels, sides[0], own)
        network.notes = (load_pretrained(network, own.pretrained).message,)
        return network


def find_window(size: int, config: SwinConfig) -> int:
    """Return the configured window, or the default for ``size``.

    Raises:
        UserError: if the size or the window does not fit; the message names values that do.
    """
    stages = len(config.depths)
    window = config.window or default_window(size, stages)
    default_window(size, stages)
    sides = [size // PATCH // 2**i for i in range(stages)]
    if any(side > window and side % window for side in sides):
        raise UserError(
            f"swin.window {window} does not tile the stages of an input of {size} pixels "
            f"(sides {sides}): use --set swin.window={default_window(size, stages)}."
        )
    return window


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
