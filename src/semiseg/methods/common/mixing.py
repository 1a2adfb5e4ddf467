"""Images pasted into each other: CutMix, bidirectional copy-paste, mixup; in 2D and 3D.

A mask M [B, ...] is boolean, as in the papers: false within the box, true around it. A mixed image is
``M a + (1 - M) b``: b lies in the box, a around it. All draws are made on ``device``, from torch's
generator, without a host synchronisation.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def mix(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """``M a + (1 - M) b`` (CutMix, equation 1; BCP).

    Args:
        a: images or probabilities [B, C, ...], or labels [B, ...].
        b: as ``a``.
        mask: [B, ...] bool; false takes ``b``.
    """
    return torch.where(mask[:, None] if a.ndim > mask.ndim else mask, a, b)


def cutmix_mask(
    count: int,
    sides: Sequence[int],
    device: torch.device | str = "cpu",
    area: tuple[float, float] = (0.02, 0.4),
    aspect: float = 0.3,
    probability: float = 1.0,
) -> Tensor:
    """A random box for each image (Yun et al. 2019); the ranges are those of UniMatch's public code.

    The box holds a part r ~ U(area) of the image. Its sides, as parts of the image's, have a ratio between
    ``aspect`` and 1/``aspect``, log-uniform (in 3D: the ratio of each later axis to the first). A side that
    would leave the image is cut to it. The box lies anywhere within the image with equal chances. UniMatch
    redraws a box that leaves the image, which needs a loop on the host.

    Args:
        count: B.
        sides: of an image, [H, W] or [D, H, W].
        device: of the mask.
        area: smallest and largest part of the image (in 3D: of the volume).
        aspect: smallest ratio of two sides, in (0, 1].
        probability: that an image has a box; the mask of the others is true everywhere.

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
    mask = box_mask(lengths, sides)
    chosen = torch.rand(count, *(1,) * n, device=device) < probability
    return mask | ~chosen


def copy_paste_mask(
    count: int, sides: Sequence[int], device: torch.device | str = "cpu", part: float = 2 / 3
) -> Tensor:
    """BCP's mask (Bai et al. 2023): a box whose sides are ``part`` of the image's.

    The box lies anywhere within the image. BCP's public code draws one place for the whole batch; here each
    image has its own. Use the same mask for both directions: ``mix(a, b, mask)`` and ``mix(b, a, mask)``.

    Returns:
        [B, *sides] bool, false within the box.
    """
    lengths = [torch.full((count,), int(part * side), device=device) for side in sides]
    return box_mask(lengths, sides)


def box_mask(lengths: Sequence[Tensor], sides: Sequence[int]) -> Tensor:
    """False within a box at a random place, with equal chances for all places within the image.

    Args:
        lengths: for each axis [B] int64, the box's sides; at most ``sides``.
        sides: of an image.

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


def mixup_factors(count: int, alpha: float, device: torch.device | str = "cpu") -> Tensor:
    """[B] factors lambda ~ Beta(alpha, alpha) (Zhang et al. 2018; ICT takes alpha = 0.2)."""
    concentration = torch.full((count,), alpha, device=device)
    # a check of the arguments would wait for the device
    beta = torch.distributions.Beta(concentration, concentration, validate_args=False)
    factors: Tensor = beta.sample()
    return factors


def mixup(a: Tensor, b: Tensor, factors: Tensor) -> Tensor:
    """``lambda a + (1 - lambda) b`` (ICT, Verma et al. 2019).

    Args:
        a: images or probabilities [B, C, ...].
        b: as ``a``.
        factors: [B] of `mixup_factors`.
    """
    return torch.lerp(b, a, factors.to(a.dtype).view(-1, *(1,) * (a.ndim - 1)))
