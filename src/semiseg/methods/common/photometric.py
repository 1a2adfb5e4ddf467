"""Strong photometric augmentation, batched on the device: parameters are drawn, then applied.

kornia would not serve: its augmentations are 2D, and its import takes 3 s.
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
    """What `draw_photometric` draws from, uniformly; each operation has a chance of its own.

    Brightness and noise are parts of the image's own range (its largest value minus its smallest), so that
    images in [0, 1] and z-scores have the same settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    brightness: float = Field(0.3, ge=0, description="largest shift, up or down")
    contrast: Range = Field((0.6, 1.5), description="factor about the image's mean")
    gamma: Range = Field((0.7, 1.5), description="exponent over the image's own range")
    blur: Range = Field((0.3, 1.5), description="deviation in pixels, or shortest voxel sides")
    noise: float = Field(0.1, ge=0, description="largest deviation")
    probability: float = Field(0.5, ge=0, le=1, description="of each operation")


USUAL = PhotometricRanges()


@dataclasses.dataclass
class Photometric:
    """Drawn parameters, [B] each; the neutral value where an operation was not chosen."""

    brightness: Tensor
    contrast: Tensor
    gamma: Tensor
    blur: Tensor
    noise: Tensor


def draw_photometric(
    count: int, ranges: PhotometricRanges, device: torch.device | str = "cpu"
) -> Photometric:
    """Parameters for ``count`` images, from torch's generator of ``device``."""
    chosen = torch.rand(5, count, device=device) < ranges.probability
    draws = torch.rand(5, count, device=device)
    bounds = (
        (-ranges.brightness, ranges.brightness), ranges.contrast, ranges.gamma, ranges.blur,
        (0.0, ranges.noise),
    )  # fmt: skip
    neutral = (0.0, 1.0, 1.0, 0.0, 0.0)
    return Photometric(
        *(
            torch.where(use, low + (high - low) * draw, rest)
            for use, draw, (low, high), rest in zip(chosen, draws, bounds, neutral, strict=True)
        )
    )


@torch.no_grad()
def apply_photometric(
    images: Tensor, drawn: Photometric, largest_blur: float, spacing: Sequence[float] | None = None
) -> Tensor:
    """Brightness and contrast, gamma, blur, then noise; values stay within each image's own range.

    A constant image stays as it is.

    Args:
        images: [B, C, H, W] or [B, C, D, H, W], in any unit.
        drawn: of `draw_photometric`, for B images. The noise itself is drawn here.
        largest_blur: the upper end of the range of ``drawn.blur``, which decides the kernel's length.
        spacing: sides of a voxel, one for each axis; None for equal ones.

    Returns:
        A new tensor of the same shape.
    """
    shape = (-1, *(1,) * (images.ndim - 1))
    flat = images.flatten(1)
    low, mean = flat.amin(1).view(shape), flat.mean(1).view(shape)
    width = flat.amax(1).view(shape) - low
    x = (images - mean) * drawn.contrast.view(shape) + mean + drawn.brightness.view(shape) * width
    x = ((x - low) / width.clamp(min=torch.finfo(x.dtype).tiny)).clamp(0, 1)
    x = gaussian_blur(x.pow(drawn.gamma.view(shape)), drawn.blur, largest_blur, spacing)
    x = (x + drawn.noise.view(shape) * torch.randn_like(x)).clamp(0, 1)
    return low + width * x


def gaussian_blur(
    images: Tensor, deviations: Tensor, largest: float, spacing: Sequence[float] | None = None
) -> Tensor:
    """Blur each image by its own deviation, axis by axis; edges are repeated.

    Args:
        images: [B, C, H, W] or [B, C, D, H, W].
        deviations: [B], in units of the shortest side of a voxel; 0 keeps an image bit for bit.
        largest: bound of ``deviations``; kernels reach three of it to either side.
        spacing: sides of a voxel, one for each axis; an axis of long voxels is blurred less.
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


def photometric_augment(
    images: Tensor,
    ranges: PhotometricRanges = USUAL,
    spacing: Sequence[float] | None = None,
) -> Tensor:
    """Another look at the same views: `draw_photometric`, then `apply_photometric`.

    No pixel moves, so that labels and predictions stay aligned. All draws are those of torch's generator on
    the images' device.

    Args:
        images: [B, C, H, W] or [B, C, D, H, W], in [0, 1] or z-scores.
        ranges: of the draws.
        spacing: sides of a voxel, one for each axis; None for equal ones.
    """
    drawn = draw_photometric(len(images), ranges, images.device)
    return apply_photometric(images, drawn, ranges.blur[1], spacing)
