"""What all predictors share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.task import Bounds, Task
from semiseg.inference.confidence import Segmentation, SoftDiceConfidence

Resampling = Literal["probabilities", "labels"]
Place = tuple[slice, int | slice]
"""An index into class probabilities [D, K, H, W]: slices, and one class or all."""


class BasePredictor(ABC):
    """Predicts masks of whole images.

    Attributes:
        task: the task that the network was trained for.
        resampling: what is resampled to the image's grid.
    """

    task: Task
    resampling: Resampling
    slicewise: ClassVar[bool]
    """Whether the prediction of a slice depends on no other slice, apart from the bounds."""

    def segment(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Segmentation:
        """Like :meth:`predict`, with the confidence of the mask.

        For predictors whose `parts` are slices with all classes; others override it.
        """
        confidence = SoftDiceConfidence(len(self.task.classes))
        labels = [
            confidence.add(values, dim=1)[1].to(torch.uint8).cpu().numpy()
            for _, values in self.parts(image, bounds, spacing)
        ]
        return Segmentation(np.concatenate(labels), confidence.value)

    @abstractmethod
    def parts(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Iterator[tuple[Place, Tensor]]:
        """Yield the class probabilities on the image's grid in parts, with the place of each.

        Not all of them need to be in memory at once. With ``resampling='labels'`` they may be 0 and
        1, for the class codes of a resized slice.
        """

    def predict(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> NDArray[np.uint8]:
        """[D, C, H, W] -> class codes [D, H, W]; ``bounds`` default to those of the image itself.

        Args:
            image: the image.
            bounds: intensities that become 0 and 1.
            spacing: spacing of the image, (slice, row, column) in mm; only volumes need it.
        """
        return self.segment(image, bounds, spacing).labels
