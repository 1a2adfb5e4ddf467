"""How certain a network is of a mask that it predicts, measured on its own probabilities."""

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """A predicted mask.

    Attributes:
        labels: class codes [D, H, W].
        confidence: its soft Dice confidence, 0 to 1; see `SoftDiceConfidence`.
    """

    labels: NDArray[np.uint8]
    confidence: float


class SoftDiceConfidence:
    """Soft Dice confidence of a mask (Borges et al. 2024, arXiv:2402.10665), summed part by part.

    For a class with probabilities p and the predicted mask m it is 2 sum(p m) / (sum p + sum m), the Dice
    of the mask with the probabilities. Ours is the mean over the classes of the mask. If no structure is
    predicted, it is one minus the largest probability of any structure.
    """

    def __init__(self, classes: int) -> None:
        """Args: classes: number of classes K, including the background."""
        self._classes = classes
        self._expected = [0.0] * classes  # sum of p
        self._overlap = [0.0] * classes  # sum of p within the mask
        self._marked = [0] * classes  # sum of m
        self._strongest = 0.0

    def add(self, probabilities: Tensor, dim: int = 0) -> tuple[Tensor, Tensor]:
        """Add pixels; return the largest probability and its class code.

        Args:
            probabilities: [..., K, ...] of any shape.
            dim: the dimension of the classes.
        """
        # on a CPU max() is ten times faster than argmax() along a strided dimension
        best, codes = probabilities.max(dim)
        for code in range(1, self._classes):
            self.add_class(code, probabilities.select(dim, code))
        self.add_mask(best, codes)
        return best, codes

    def add_class(self, code: int, probabilities: Tensor) -> None:
        """Add the probabilities of one class, where the classes are not in memory together.

        The background does not count.
        """
        if code == 0:
            return
        self._expected[code] += float(probabilities.sum(dtype=torch.float64))
        if probabilities.numel():
            self._strongest = max(self._strongest, float(probabilities.max()))

    def add_mask(self, best: Tensor, codes: Tensor) -> None:
        """Add the largest probabilities and their class codes, of the pixels of `add_class`."""
        for code in range(1, self._classes):
            mask = codes == code
            self._marked[code] += int(mask.sum())
            self._overlap[code] += float(best[mask].sum(dtype=torch.float64))

    @property
    def value(self) -> float:
        """The confidence of everything added, 0 to 1."""
        own = [
            2 * self._overlap[code] / (self._expected[code] + self._marked[code])
            for code in range(1, self._classes)
            if self._marked[code]
        ]
        found = sum(own) / len(own) if own else 1.0 - self._strongest
        return min(max(found, 0.0), 1.0)


def confidence_of(probabilities: NDArray[np.floating]) -> float:
    """The confidence of the mask with the largest of the probabilities [D, K, H, W]."""
    confidence = SoftDiceConfidence(probabilities.shape[1])
    confidence.add(torch.from_numpy(np.asarray(probabilities, np.float32)), dim=1)
    return confidence.value
