"""The strong colour augmentation of UniMatch: colour jitter and blur, batched on the device.

Pixels do not move, so labels and predictions stay aligned. Brightness, contrast, saturation and hue are
those of the usual image libraries. `semiseg.methods.common.photometric` has other operations (gamma, noise)
and chooses each of them independently.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from semiseg.methods.common.photometric import gaussian_blur, scale_to_unit
from semiseg.strict import Strict

Deviation = Annotated[float, Field(ge=0, le=100)]
GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R 601)."""


class ColourOptions(Strict):
    """Options of `colour_jitter`, with the values of UniMatch's public code."""

    brightness: float = Field(
        0.5, ge=0, le=1, description="brightness factor from 1 - this to 1 + this"
    )
    contrast: float = Field(
        0.5, ge=0, le=1, description="contrast factor from 1 - this to 1 + this"
    )
    saturation: float = Field(
        0.5, ge=0, le=1, description="colour pictures: saturation factor from 1 - this to 1 + this"
    )
    hue: float = Field(
        0.25, ge=0, le=0.5, description="colour pictures: largest shift of the hue, in turns"
    )
    jitter_probability: float = Field(
        0.8,
        ge=0,
        le=1,
        description="probability of brightness, contrast, saturation and hue together",
    )
    blur: tuple[Deviation, Deviation] = Field(
        (0.1, 2.0), description="range of the blur's standard deviation, in pixels"
    )
    blur_probability: float = Field(0.5, ge=0, le=1, description="probability of blur")


@torch.no_grad()
def colour_jitter(
    images: Tensor,
    options: ColourOptions,
    colours: bool = False,
    spacing: Sequence[float] | None = None,
) -> Tensor:
    """Change brightness, contrast, saturation and hue of an image together, then blur it.

    Each image has its own draws and keeps its own range, so images in [0, 1] and z-scores have the same
    settings: the range is scaled to [0, 1], and results are clipped to it. A constant image does not
    change. The order of the operations is fixed.

    Args:
        images: [B, C, H, W] or [B, C, D, H, W], in any unit.
        options: ranges and probabilities.
        colours: whether the channels are red, green and blue; otherwise saturation and hue stay.
        spacing: sides of a voxel, one per axis; None: equal sides.

    Returns:
        A new tensor of the same shape.
    """
    count, device, shape = len(images), images.device, (-1, *(1,) * (images.ndim - 1))
    draws = 2 * torch.rand(4, count, device=device, dtype=images.dtype) - 1
    brightness, contrast, saturation, hue = draws.view(4, *shape)
    jittered, blurred = torch.rand(2, count, device=device)
    plain, low, width = scale_to_unit(images)

    x = (plain * (1 + options.brightness * brightness)).clamp(0, 1)
    mean = (grey(x) if colours else x).flatten(1).mean(1).view(shape)
    x = torch.lerp(mean, x, 1 + options.contrast * contrast).clamp(0, 1)
    if colours:
        x = torch.lerp(grey(x), x, 1 + options.saturation * saturation).clamp(0, 1)
        x = shift_hue(x, options.hue * hue)
    x = torch.where((jittered < options.jitter_probability).view(shape), x, plain)

    smallest, largest = options.blur
    deviations = smallest + (largest - smallest) * torch.rand(count, device=device)
    deviations = deviations * (blurred < options.blur_probability)
    return low + width * gaussian_blur(x, deviations, largest, spacing)


def grey(images: Tensor) -> Tensor:
    """Colour images [B, 3, ...] -> luminance [B, 1, ...]."""
    red, green, blue = images.split(1, 1)
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue


def shift_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Shift the hue of the HSV form of colour images.

    Args:
        images: [B, 3, ...] in [0, 1].
        turns: shift in turns, of a shape that broadcasts to [B, 1, ...].
    """
    red, green, blue = images.split(1, 1)
    value = images.amax(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    divisor = chroma.clamp(min=torch.finfo(images.dtype).tiny)
    sixths = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sixths = sixths + 6 * turns
    channels = []
    for offset in (5, 3, 1):  # red, green and blue of the hexagon of hues
        place = (sixths + offset) % 6
        channels.append(value - chroma * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.cat(channels, 1)
