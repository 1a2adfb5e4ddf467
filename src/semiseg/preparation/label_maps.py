"""Small maps of labels, to notice labels that mark the same region in all images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import IGNORE_INDEX
from semiseg.preparation.near_duplicates import reduced

SIDE = 16
FEWEST = 3  # labels
ALIKE = 0.95  # overlap of each label with the mean of all; fields of view differ by a few pixels


def label_map(label: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The share of foreground in [16, 16] parts of a label [D, H, W]."""
    marked = ((label > 0) & (label != IGNORE_INDEX)).mean(axis=0, dtype=np.float32)
    return reduced(reduced(marked, 0, SIDE), 1, SIDE)


def all_alike(maps: Sequence[NDArray[np.float32]]) -> bool:
    """Whether labels mark the same region in all images, as fields of view do."""
    if len(maps) < FEWEST or not all(one.any() for one in maps):
        return False
    stack = np.stack(maps)
    mean = stack.mean(axis=0)
    shared, either = np.minimum(stack, mean), np.maximum(stack, mean)
    return bool((shared.sum(axis=(1, 2)) >= ALIKE * either.sum(axis=(1, 2))).all())
