"""Pseudo-labels of structures that are connected: keep the largest component of each class."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX


def largest_component(pseudo_label: Tensor) -> Tensor:
    """Keep the largest connected component of each foreground class of each image.

    The other components become background. As in BCP (Bai et al. 2023). Pixels are connected by faces,
    edges and corners. The first of equally large components is kept. Pixels that are ``IGNORE_INDEX``
    do not change.

    Runs on the CPU: the labels are copied to the host and back, which is a host synchronisation.

    Args:
        pseudo_label: [B, H, W] or [B, D, H, W] int64.

    Returns:
        A new tensor of the same shape, on the same device.
    """
    codes = pseudo_label.cpu().numpy()
    kept = np.stack([_keep_largest(image) for image in codes]) if len(codes) else codes
    return torch.from_numpy(kept).to(pseudo_label.device)


def _keep_largest(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    from scipy import ndimage

    corners = np.ones((3,) * codes.ndim)
    kept = np.where(codes == IGNORE_INDEX, IGNORE_INDEX, 0)
    for code in np.unique(codes):
        if code in (0, IGNORE_INDEX):
            continue
        components, _ = ndimage.label(codes == code, structure=corners)
        sizes = np.bincount(components.ravel())[1:]
        kept[components == 1 + sizes.argmax()] = code
    return kept
