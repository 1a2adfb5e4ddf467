"""The losses of Triple-UA (Wang et al., MICCAI 2021), as in its public code."""

import torch
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.masked_mean import masked_mean
from semiseg.losses.precision import at_least_single


def weighted_mse(found: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return ``w (s - t)^2``, mean over images, channels and pixels.

    The sum is not divided by the sum of the weights, so an uncertain teacher teaches less.

    Args:
        found: s, [B, channels, ...].
        target: t, as ``found``, detached.
        weight: w, [B, channels, ...] or [B, 1, ...], detached.

    Returns:
        A scalar.
    """
    return (weight * (at_least_single(found) - at_least_single(target)).square()).mean()


def reconstruction_mse(found: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Return the squared error to the image's foreground x y and background x (1 - y), mean.

    y is 1 in all foreground classes.

    Args:
        found: [B, 2 C, ...], the foreground's channels first.
        images: x, [B, C, ...].
        labels: [B, ...] int64 class codes; pixels of ``IGNORE_INDEX`` are left out.

    Returns:
        A scalar.
    """
    y = (labels > 0)[:, None]
    target = torch.cat([images * y, images * ~y], 1)
    error = (at_least_single(found) - at_least_single(target)).square()
    return masked_mean(error, labels != IGNORE_INDEX)
