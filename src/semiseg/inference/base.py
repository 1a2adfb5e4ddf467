"""What all predictors share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.task import Bounds, Task
from semiseg.inference.confidence import Segmentation

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

    @abstractmethod
    def segment(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Segmentation:
        """Like :meth:`predict`, with the confidence of the mask."""

    @abstractmethod
    def parts(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Iterator[tuple[Place, Tensor]]:
        """Yield the class probabilities on the image's grid in parts, on the CPU, with the place of each.

        Not all of them need to be in memory at once. Only for ``resampling='probabilities'``.
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
