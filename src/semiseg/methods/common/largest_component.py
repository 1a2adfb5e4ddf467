"""Pseudo-labels of structures that are one piece: of each class the largest component is kept."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX


def largest_component(pseudo_label: Tensor) -> Tensor:
    """Of each foreground class of each image the largest connected component; the rest is background.

    As in BCP (Bai et al. 2023). Pixels hang together by faces, edges and corners. Of equally large
    components the first is kept. Pixels that are ``IGNORE_INDEX`` stay so.

    Runs on the CPU: the labels are copied to the host and back, so a GPU waits for the copy
    (a host synchronisation).

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
