"""Standardisation of images by the statistics of the data that pretrained weights come from."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class Standardise(nn.Module):
    """Subtract a mean from images in [0, 1] and divide by a deviation, per channel."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        mean: Sequence[float] = IMAGENET_MEAN,
        deviation: Sequence[float] = IMAGENET_DEVIATION,
        channels: int = 3,
    ) -> None:
        """Args: channels: if not 3, every channel has the mean of the values of red, green and blue."""
        super().__init__()
        for name, given in (("mean", mean), ("deviation", deviation)):
            values = torch.tensor(given)
            if channels != len(given):
                values = values.mean().expand(channels)
            self.register_buffer(name, values[:, None, None].clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return (x - self.mean) / self.deviation
