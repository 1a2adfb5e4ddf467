"""ResNet as an encoder (He, Zhang, Ren, Sun, Deep residual learning, CVPR 2016).

Parameters have the names of torchvision's files, so their ImageNet weights load by name. As there, the
second convolution of a bottleneck has the stride (the paper: the first).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.backbone import Stages
from semiseg.networks.standardise import IMAGENET_DEVIATION, IMAGENET_MEAN

STEM = 64
# blocks of each stage, and the factor of a bottleneck's last convolution (1: two convolutions of 3 x 3)
LAYOUTS: dict[str, tuple[tuple[int, ...], int]] = {
    "resnet18": ((2, 2, 2, 2), 1),
    "resnet34": ((3, 4, 6, 3), 1),
    "resnet50": ((3, 4, 6, 3), 4),
}


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Build a convolution without bias that keeps the size, divided by the stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Block(nn.Module):
    """Convolutions whose output is added to the input."""

    def __init__(self, inputs: int, width: int, stride: int, expansion: int) -> None:
        """Args: expansion: 1 for two convolutions, 4 for a bottleneck."""
        super().__init__()
        outputs = width * expansion
        self.bottleneck = expansion > 1
        if self.bottleneck:
            self.conv1, self.conv2 = (
                convolution(inputs, width, 1), convolution(width, width, 3, stride)
            )  # fmt: skip
            self.conv3, self.bn3 = convolution(width, outputs, 1), nn.BatchNorm2d(outputs)
        else:
            self.conv1, self.conv2 = (
                convolution(inputs, width, 3, stride), convolution(width, width, 3)
            )  # fmt: skip
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, width * expansion, H / stride, W / stride]."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(F.relu(y)))
        return F.relu(y + self.downsample(x))


class ResNet(Stages):
    """The convolutions of the classifier, without its head. Maps of reduction 2, 4, 8, 16 and 32."""

    stem = "conv1.weight"
    mean, deviation = IMAGENET_MEAN, IMAGENET_DEVIATION

    def __init__(self, name: str, channels: int) -> None:
        """Args: name: a key of ``LAYOUTS``; channels: channels of the input."""
        super().__init__()
        counts, expansion = LAYOUTS[name]
        self.conv1, self.bn1 = convolution(channels, STEM, 7, 2), nn.BatchNorm2d(STEM)
        self.pool = nn.MaxPool2d(3, 2, 1)
        inputs, widths = STEM, [STEM]
        for index, count in enumerate(counts):
            width, blocks = STEM * 2**index, []
            for place in range(count):
                stride = 1 if place or not index else 2
                blocks.append(Block(inputs, width, stride, expansion))
                inputs = width * expansion
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))
            widths.append(inputs)
        self.stages = len(counts)
        self.out_channels = tuple(widths)
        self.reductions = tuple(2 ** (i + 1) for i in range(len(widths)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, C, H, W] -> maps from fine to coarse."""
        x = F.relu(self.bn1(self.conv1(x)))
        maps = [x]
        x = self.pool(x)
        for index in range(self.stages):
            x = getattr(self, f"layer{index + 1}")(x)
            maps.append(x)
        return maps
