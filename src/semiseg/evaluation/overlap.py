"""Overlap of two masks and the mean absolute error of a picture.

These functions return ``None`` if the ratio is 0 / 0. :mod:`semiseg.evaluation.protocols` defines the
scores of empty masks.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Voxel counts of one class, from which Dice and IoU are computed."""

    intersection: int
    predicted: int
    reference: int

    @property
    def dice(self) -> float | None:
        """``2 |P and R| / (|P| + |R|)`` in [0, 1]; None if both masks are empty."""
        total = self.predicted + self.reference
        return 2 * self.intersection / total if total else None

    @property
    def iou(self) -> float | None:
        """``|P and R| / |P or R|`` in [0, 1]; None if both masks are empty."""
        union = self.predicted + self.reference - self.intersection
        return self.intersection / union if union else None


def overlap(prediction: NDArray[np.generic], reference: NDArray[np.generic]) -> Overlap:
    """Count voxels of two masks of one shape (any number of axes); nonzero is foreground.

    Raises:
        UserError: if the shapes differ.
    """
    same_shape(prediction, reference)
    p, r = prediction.astype(bool, copy=False), reference.astype(bool, copy=False)
    return Overlap(int(np.count_nonzero(p & r)), int(np.count_nonzero(p)), int(np.count_nonzero(r)))


def dice(prediction: NDArray[np.generic], reference: NDArray[np.generic]) -> float | None:
    """Dice (DSC) of two masks in [0, 1]; None if both are empty."""
    return overlap(prediction, reference).dice


def iou(prediction: NDArray[np.generic], reference: NDArray[np.generic]) -> float | None:
    """Intersection over union of two masks in [0, 1]; None if both are empty."""
    return overlap(prediction, reference).iou


def mae(probability: NDArray[np.generic], reference: NDArray[np.generic]) -> float:
    """``100 mean |p - y|``: 0 is perfect, 100 the inverse of the reference.

    Source: Zhao et al., ISBI 2022 (cross-level contrast and consistency), the column "MAE".

    Args:
        probability: foreground probability in [0, 1], or a hard mask; any shape.
        reference: mask of the same shape; nonzero is foreground.

    Raises:
        UserError: if the shapes differ or a value is not a probability.
    """
    same_shape(probability, reference)
    p = probability.astype(np.float64)
    if not (p.size and p.min() >= 0 and p.max() <= 1):  # also catches NaN
        raise UserError("MAE needs foreground probabilities between 0 and 1: apply a sigmoid.")
    return float(100 * np.abs(p - (reference != 0)).mean())


def same_shape(prediction: NDArray[np.generic], reference: NDArray[np.generic]) -> None:
    """Check that two arrays have the same shape.

    Raises:
        UserError: if not; the message names both shapes.
    """
    if prediction.shape != reference.shape:
        raise UserError(
            f"The prediction has shape {list(prediction.shape)} but the reference "
            f"{list(reference.shape)}: resample the prediction to the reference's grid first."
        )
