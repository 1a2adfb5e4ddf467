"""Strong photometric augmentation, batched on the device: draw parameters, then apply them.

kornia is not used because its augmentations are 2D and its import takes 3 s.
"""

import dataclasses
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

Range = tuple[float, float]


class PhotometricRanges(BaseModel):
    """Ranges of the uniform distributions in `draw_photometric`.

    Operations are chosen independently. Brightness and noise are fractions of the image's own range
    (largest minus smallest value), so images in [0, 1] and z-scores have the same settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    brightness: float = Field(
        0.3, ge=0, description="largest shift, as a fraction of the image's range"
    )
    contrast: Range = Field((0.6, 1.5), description="factor of the deviation from the image's mean")
    gamma: Range = Field(
        (0.7, 1.5), description="exponent, with the image's range scaled to [0, 1]"
    )
    blur: Range = Field(
        (0.3, 1.5), description="standard deviation in pixels, or shortest voxel sides"
    )
    noise: float = Field(
        0.1, ge=0, description="largest standard deviation, as a fraction of the image's range"
    )
    probability: float = Field(
        0.5, ge=0, le=1, description="probability of each of the operations above"
    )
    inverted_gamma_probability: float = Field(
        0.0, ge=0, le=1, description="probability of a gamma of the inverted image"
    )
    low_resolution: Range = Field(
        (0.5, 1.0), description="factor by which the resolution is reduced"
    )
    low_resolution_probability: float = Field(
        0.0, ge=0, le=1, description="probability of a low resolution"
    )


USUAL = PhotometricRanges()


@dataclasses.dataclass
class Photometric:
    """Drawn parameters, [B] each; the neutral value if an operation was not chosen.

    The last two are None if their probability is 0.
    """

    brightness: Tensor
    contrast: Tensor
    gamma: Tensor
    blur: Tensor
    noise: Tensor
    inverted_gamma: Tensor | None = None
    resolution: Tensor | None = None


def draw_photometric(
    count: int, ranges: PhotometricRanges, device: torch.device | str = "cpu"
) -> Photometric:
    """Draw parameters for ``count`` images from torch's generator of ``device``."""
    chosen = torch.rand(5, count, device=device) < ranges.probability
    draws = torch.rand(5, count, device=device)
    bounds = (
        (-ranges.brightness, ranges.brightness), ranges.contrast, ranges.gamma, ranges.blur,
        (0.0, ranges.noise),
    )  # fmt: skip
    neutral = (0.0, 1.0, 1.0, 0.0, 0.0)
    brightness, contrast, gamma, blur, noise = (
        torch.where(use, low + (high - low) * draw, rest)
        for use, draw, (low, high), rest in zip(chosen, draws, bounds, neutral, strict=True)
    )

    def drawn_alone(probability: float, bound: Range) -> Tensor | None:
        """Draw nothing with probability 0, so that the numbers of later draws stay the same."""
        if not probability:
            return None
        use, draw = torch.rand(2, count, device=device)
        return torch.where(use < probability, bound[0] + (bound[1] - bound[0]) * draw, 1.0)

    return Photometric(
        brightness, contrast, gamma, blur, noise,
        drawn_alone(ranges.inverted_gamma_probability, ranges.gamma),
        drawn_alone(ranges.low_resolution_probability, ranges.low_resolution),
    )  # fmt: skip


@torch.no_grad()
def apply_photometric(
    images: Tensor, drawn: Photometric, largest_blur: float, spacing: Sequence[float] | None = None
) -> Tensor:
    """Change contrast, brightness, gamma, inverted gamma, blur, resolution and noise, in this order.

    Each image keeps its own range. A constant image does not change.

    Args:
        images: [B, C, H, W] or [B, C, D, H, W], in any unit.
        drawn: parameters for B images. The noise itself is drawn here.
        largest_blur: the upper bound of ``drawn.blur``; it sets the length of the kernel.
        spacing: sides of a voxel, one per axis; None: equal sides.

    Returns:
        A new tensor of the same shape.
    """
    shape = (-1, *(1,) * (images.ndim - 1))
    x, low, width = scale_to_unit(images)
    mean = x.flatten(1).mean(1).view(shape)
    x = (x - mean) * drawn.contrast.view(shape) + mean + drawn.brightness.view(shape)
    x = x.clamp(0, 1).pow(drawn.gamma.view(shape))
    if drawn.inverted_gamma is not None:
        exponent = drawn.inverted_gamma.view(shape)
        x = torch.where(exponent == 1, x, 1 - (1 - x).pow(exponent))
    x = gaussian_blur(x, drawn.blur, largest_blur, spacing)
    if drawn.resolution is not None:
        x = lower_resolution(x, drawn.resolution, spacing)
    x = (x + drawn.noise.view(shape) * torch.randn_like(x)).clamp(0, 1)
    return low + width * x


def scale_to_unit(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scale each image's own range to [0, 1].

    ``low + width * x`` scales back. There the width of a constant image is 0, so it stays as it is whatever
    happens to ``x``.

    Args:
        images: [B, C, ...], in any unit.

    Returns:
        x as ``images``; low and width [B, 1, ...], the smallest value and the largest minus the smallest.
    """
    shape = (-1, *(1,) * (images.ndim - 1))
    flat = images.flatten(1)
    low = flat.amin(1).view(shape)
    width = flat.amax(1).view(shape) - low
    return (images - low) / width.clamp(min=torch.finfo(images.dtype).tiny), low, width


def gaussian_blur(
    images: Tensor, deviations: Tensor, largest: float, spacing: Sequence[float] | None = None
) -> Tensor:
    """Blur each image with its own standard deviation, axis by axis; edges are repeated.

    Args:
        images: [B, C, H, W] or [B, C, D, H, W].
        deviations: [B], in units of the shortest side of a voxel; 0 returns an image unchanged.
        largest: upper bound of ``deviations``; a kernel's radius is three times this.
        spacing: sides of a voxel, one per axis; along longer sides the blur covers fewer voxels.
    """
    axes = images.ndim - 2
    lengths = spacing or (1.0,) * axes
    for axis, length in enumerate(lengths):
        factor = min(lengths) / length
        radius = math.ceil(3 * largest * factor)
        offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
        sigma = (deviations.to(images.dtype) * factor).clamp(min=1e-3)[:, None]
        weights = (-0.5 * (offsets / sigma).square()).exp()
        weights = weights / weights.sum(1, keepdim=True)  # [B, 2 r + 1]
        pad = [0, 0] * axes
        pad[2 * (axes - 1 - axis)] = pad[2 * (axes - 1 - axis) + 1] = radius
        padded = F.pad(images, pad, mode="replicate")
        blurred = torch.zeros_like(images)
        for tap, weight in enumerate(weights.T):
            part = padded.narrow(2 + axis, tap, images.shape[2 + axis])
            blurred.addcmul_(part, weight.view(-1, *(1,) * (axes + 1)))
        images = blurred
    return images


def lower_resolution(
    images: Tensor, factors: Tensor, spacing: Sequence[float] | None = None
) -> Tensor:
    """Sample each image at fewer pixels (nearest), then enlarge it linearly to its size, axis by axis.

    A side of S pixels is sampled at ``round(S * factor)`` pixels, at least 1. This is the simulation of low
    resolution of nnU-Net (Isensee et al., Nature Methods 2021), with linear interpolation.

    Args:
        images: [B, C, H, W] or [B, C, D, H, W].
        factors: [B] in (0, 1], of the axes with the shortest voxel sides; 1 returns an image unchanged.
        spacing: sides of a voxel, one per axis. No axis is sampled more finely than before, so that the
            resolution along longer sides is reduced less.
    """
    lengths = spacing or (1.0,) * (images.ndim - 2)
    for axis, length in enumerate(lengths, start=2):
        side = images.shape[axis]
        factor = (factors * (length / min(lengths))).clamp(max=1.0)
        count = (side * factor).round().clamp(min=1.0)[:, None]
        pixel = torch.arange(side, device=images.device, dtype=factors.dtype) + 0.5
        place = (pixel * count / side - 0.5).clamp(min=torch.zeros_like(count), max=count - 1)
        first, shape = place.floor(), [len(images), *(1,) * (images.ndim - 1)]
        shape[axis] = side
        second = torch.minimum(first + 1, count - 1)
        low, high = (
            images.gather(axis, sampled.long().view(shape).expand_as(images))
            for sampled in (((end + 0.5) * side / count).floor() for end in (first, second))
        )
        part = (place - first).to(images.dtype).view(shape)
        images = (1 - part) * low + part * high
    return images


def photometric_augment(
    images: Tensor,
    ranges: PhotometricRanges = USUAL,
    spacing: Sequence[float] | None = None,
) -> Tensor:
    """Augment images: `draw_photometric`, then `apply_photometric`.

    Pixels do not move, so labels and predictions stay aligned. Random numbers come from torch's generator
    on the images' device.

    Args:
        images: [B, C, H, W] or [B, C, D, H, W], in [0, 1] or z-scores.
        ranges: ranges of the parameters.
        spacing: sides of a voxel, one per axis; None: equal sides.
    """
    drawn = draw_photometric(len(images), ranges, images.device)
    return apply_photometric(images, drawn, ranges.blur[1], spacing)
