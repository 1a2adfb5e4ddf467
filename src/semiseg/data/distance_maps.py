"""Signed distance maps of labels, normalised as in SASSNet and DTC."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def distance_maps(
    label: NDArray[np.integer], classes: int, spacing: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """A signed distance map per foreground class.

    A pixel of ``IGNORE_INDEX`` counts as outside of every class, and its border as a boundary. Losses
    must exclude such pixels (``mask=labels != IGNORE_INDEX``).

    Args:
        label: [H, W] or [D, H, W] class codes.
        classes: K.
        spacing: size of a voxel along each axis; None if isotropic.

    Returns:
        [K - 1, ...] in [-1, 1].
    """
    maps = [signed_distance(label == code, spacing) for code in range(1, classes)]
    return np.stack(maps) if maps else np.zeros((0, *label.shape), np.float32)


def stacked_maps(
    labels: Tensor, classes: int, spacings: Sequence[Sequence[float] | None]
) -> Tensor:
    """`distance_maps` of a batch: [L, ...] labels and L spacings -> [L, K - 1, ...] float32."""
    out = torch.zeros((len(labels), classes - 1, *labels.shape[1:]))
    for image, label, spacing in zip(out, labels, spacings, strict=True):
        image.copy_(torch.from_numpy(distance_maps(label.numpy(), classes, spacing)))
    return out


def signed_distance(
    mask: NDArray[np.bool_], spacing: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """``+d / max d`` outside, ``-d / max d`` inside, 0 on the boundary (SASSNet, DTC).

    d is the distance between the centres of a pixel and of the nearest pixel on the other side. The
    boundary consists of the pixels of the class that share a face with a pixel outside it. The edge of
    the image is not a boundary. If there is no boundary, because the class is absent or fills the
    image, the map is 0.

    Args:
        mask: [H, W] or [D, H, W], true within the class.
        spacing: size of a voxel along each axis; None if isotropic.
    """
    from scipy import ndimage

    out = np.zeros(mask.shape, np.float32)
    if not mask.any() or mask.all():
        return out
    outside = ndimage.distance_transform_edt(~mask, spacing)
    out += outside / outside.max()
    # the nearest pixel outside the class is in the bounding box or next to it
    (found,) = ndimage.find_objects(mask.astype(np.uint8))
    box = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in found)
    inner = mask[box]
    inside = ndimage.distance_transform_edt(inner, spacing)
    out[box] -= inside / inside.max()
    out[box][inner & ~ndimage.binary_erosion(inner, border_value=1)] = 0
    return out
