"""Postprocessing of predicted masks."""

import numpy as np
from numpy.typing import NDArray


def keep_largest(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep the largest connected component of each class; the others become background.

    Voxels are connected by faces. The first of equally large components is kept. Use it only for
    structures that are connected by nature, not for lesions.

    Args:
        mask: [D, H, W] class codes.

    Returns:
        A new [D, H, W].
    """
    from scipy import ndimage

    out = np.zeros_like(mask)
    for code in np.unique(mask[mask > 0]):
        pieces, count = ndimage.label(mask == code)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        out[pieces == 1 + int(sizes[1:].argmax())] = code
    return out
