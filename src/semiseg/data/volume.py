"""One case in memory, as layouts return it and predictors accept it."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Volume:
    """An image with its geometry; a picture is a volume of one slice.

    Attributes:
        image: [D, C, H, W], any numeric type; slices first, so that one slice is contiguous.
        label: [D, H, W] uint8 class codes, with ``IGNORE_INDEX`` for ignored voxels; None for an
            unlabelled image.
        spacing: (slice, row, column) in mm; None if the format stores none.
        affine: 4x4, voxel (i, j, k) in the axis order of the *source* to world mm, or None.
        slice_axis: the source axis of the slices (axis 0 here); the others keep their order.
        remarks: findings that concern the whole data set: a keyword, and the file.
    """

    image: NDArray[np.generic]
    label: NDArray[np.uint8] | None = None
    spacing: tuple[float, float, float] | None = None
    affine: NDArray[np.float64] | None = None
    slice_axis: int = 0
    remarks: Mapping[str, str] = dataclasses.field(default_factory=dict)
