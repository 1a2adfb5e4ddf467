"""The typical width of structures in slices, which a network's input must resolve."""

import numpy as np
from numpy.typing import NDArray


def mean_width(mask: NDArray[np.bool_]) -> float | None:
    """Return the mean width of the structures in a slice, in pixels; None for an empty mask.

    The mean distance of a strip's pixels to the outside is a quarter of its width, so the width is four
    times that mean. Discs and compact shapes have about two thirds of their diameter.

    Args:
        mask: [H, W].
    """
    from scipy import ndimage

    if not mask.any():
        return None
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    box = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    # distances are to centres of pixels; the outside begins half a pixel before
    inside = ndimage.distance_transform_edt(box)[box] - 0.5
    return float(4 * inside.mean())
