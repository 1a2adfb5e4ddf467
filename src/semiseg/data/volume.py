"""One case in memory, as every layout hands it over and every predictor takes it."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Volume:
    """An image with its geometry; a picture is a volume of one slice.

    Attributes:
        image: [D, C, H, W], any numeric type; slices first, so that one slice is contiguous.
        label: [D, H, W] uint8 class codes (``IGNORE_INDEX`` where a voxel is ignored), or None for an
            unlabelled image.
        spacing: (slice, row, column) in mm, None where the format carries none.
        affine: 4x4, voxel (i, j, k) of the *source's* axis order to world mm, or None.
        slice_axis: which source axis became the slices (axis 0 here); the others keep their order.
        remarks: what reading it has shown that concerns the whole set: a word, and the file it is about.
    """

    image: NDArray[np.generic]
    label: NDArray[np.uint8] | None = None
    spacing: tuple[float, float, float] | None = None
    affine: NDArray[np.float64] | None = None
    slice_axis: int = 0
    remarks: Mapping[str, str] = dataclasses.field(default_factory=dict)
