"""Mixing of images: CutMix, bidirectional copy-paste and mixup, in 2D and 3D.

A mask M [B, ...] is boolean, as in the papers: false inside a box, true outside. A mixed image is
``M a + (1 - M) b``: b inside the box, a outside. Random numbers are drawn on ``device`` from torch's
generator, without a host synchronisation.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

AREA = (0.02, 0.4)
"""Range of the fraction of the image that CutMix's box covers, in UniMatch's public code."""
ASPECT = 0.3
"""Smallest ratio of two sides of this box."""


def mix(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """Return ``M a + (1 - M) b`` (CutMix, equation 1; BCP).

    Args:
        a: images or probabilities [B, C, ...], or labels [B, ...].
        b: as ``a``.
        mask: [B, ...] bool; false selects ``b``.
    """
    return torch.where(mask[:, None] if a.ndim > mask.ndim else mask, a, b)


def cutmix_mask(
    count: int,
    sides: Sequence[int],
    device: torch.device | str = "cpu",
    area: tuple[float, float] = AREA,
    aspect: float = ASPECT,
    probability: float = 1.0,
) -> Tensor:
    """Draw a box for each image (Yun et al. 2019), with the ranges of UniMatch's public code (from memory).

    The box covers a fraction r ~ U(area) of the image. Its sides, as fractions of the image's sides, have
    a log-uniform ratio between ``aspect`` and 1/``aspect`` (in 3D: the ratio of each later axis to the
    first). A side longer than the image is cut to the image. The position is uniform within the image.

    UniMatch draws the ratio of height to width uniformly in [0.3, 3.33], which gives more tall boxes than
    wide ones: three of four before the redraws. It draws ratio and position again until the box lies within
    the image, which needs a loop on the host.

    Args:
        count: B.
        sides: sides of an image, [H, W] or [D, H, W].
        device: device of the mask.
        area: smallest and largest fraction of the image (in 3D: of the volume).
        aspect: smallest ratio of two sides, in (0, 1].
        probability: probability that an image has a box; without one its mask is true everywhere.

    Returns:
        [B, *sides] bool.
    """
    n = len(sides)
    part = area[0] + (area[1] - area[0]) * torch.rand(count, 1, device=device)
    exponents = math.log(aspect) * (2 * torch.rand(count, n, device=device) - 1)
    exponents[:, 0] = 0
    parts = part ** (1 / n) * (exponents - exponents.mean(1, keepdim=True)).exp()
    lengths = [
        (parts[:, axis] * side).round().long().clamp(1, side) for axis, side in enumerate(sides)
    ]
    return in_some_images(box_mask(lengths, sides), probability)


def in_some_images(mask: Tensor, probability: float) -> Tensor:
    """Keep the box of an image with ``probability``; without a box its mask is true everywhere.

    Args:
        mask: [B, ...] bool, false inside a box.
        probability: that an image keeps its box.
    """
    chosen = torch.rand(len(mask), *(1,) * (mask.ndim - 1), device=mask.device) < probability
    return mask | ~chosen


def copy_paste_mask(
    count: int, sides: Sequence[int], device: torch.device | str = "cpu", part: float = 2 / 3
) -> Tensor:
    """Draw BCP's mask (Bai et al. 2023): a box whose sides are ``part`` times those of the image.

    The position is uniform within the image, drawn for each image; BCP's public code draws one position per
    batch. Use the same mask for both directions: ``mix(a, b, mask)`` and ``mix(b, a, mask)``.

    Returns:
        [B, *sides] bool, false inside the box.
    """
    lengths = [torch.full((count,), int(part * side), device=device) for side in sides]
    return box_mask(lengths, sides)


def box_mask(lengths: Sequence[Tensor], sides: Sequence[int]) -> Tensor:
    """Return masks that are false inside a box at a uniformly random position within the image.

    Args:
        lengths: sides of the boxes for each axis, [B] int64, at most ``sides``.
        sides: sides of an image.

    Returns:
        [B, *sides] bool.
    """
    count, device = len(lengths[0]), lengths[0].device
    inside = torch.ones((count, *(1,) * len(sides)), dtype=torch.bool, device=device)
    for axis, side in enumerate(sides):
        length = lengths[axis][:, None]
        start = (torch.rand(count, 1, device=device) * (side - length + 1)).long()
        place = torch.arange(side, device=device)
        within = (place >= start) & (place < start + length)  # [B, side]
        inside = inside & within.view(count, *(side if i == axis else 1 for i in range(len(sides))))
    return ~inside


def beta_box_mask(
    count: int, sides: Sequence[int], device: torch.device | str = "cpu", alpha: float = 1.0
) -> Tensor:
    """Draw CutMix's box for each image (Yun et al. 2019): lambda ~ Beta(alpha, alpha).

    The box has the shape of the image and covers ``1 - lambda`` of it. The position is uniform within the
    image; Yun et al. draw the centre and cut what exceeds the image.

    Returns:
        [B, *sides] bool, false inside the box.
    """
    part = (1 - mixup_factors(count, alpha, device)) ** (1 / len(sides))
    lengths = [(part * side).round().long().clamp(1, side) for side in sides]
    return box_mask(lengths, sides)


def another_image(count: int, device: torch.device | str = "cpu") -> Tensor:
    """Return a partner for each of ``count`` images: [B] int64.

    All indices are shifted by one random number, so no image is its own partner, unless it is the only one.
    """
    places = torch.arange(count, device=device)
    if count < 2:
        return places
    return (places + torch.randint(1, count, (1,), device=device)) % count


def mixup_factors(count: int, alpha: float, device: torch.device | str = "cpu") -> Tensor:
    """Draw [B] factors lambda ~ Beta(alpha, alpha) (Zhang et al. 2018; ICT: alpha = 0.2)."""
    concentration = torch.full((count,), alpha, device=device)
    # validation of the arguments would synchronise with the device
    beta = torch.distributions.Beta(concentration, concentration, validate_args=False)
    factors: Tensor = beta.sample()
    return factors


def mixup(a: Tensor, b: Tensor, factors: Tensor) -> Tensor:
    """Return ``lambda a + (1 - lambda) b`` (ICT, Verma et al. 2019).

    Args:
        a: images or probabilities [B, C, ...].
        b: as ``a``.
        factors: [B], see `mixup_factors`.
    """
    return torch.lerp(b, a, factors.to(a.dtype).view(-1, *(1,) * (a.ndim - 1)))
