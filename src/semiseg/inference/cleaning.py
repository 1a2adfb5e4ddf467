"""What may be taken off a predicted mask."""

import numpy as np
from numpy.typing import NDArray


def keep_largest(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of each class the largest connected piece; the others become background.

    Pieces hang together by faces. Of equally large ones the first is kept. For structures that are one
    piece by nature; never for lesions.

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
