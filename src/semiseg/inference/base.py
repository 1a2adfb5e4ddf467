"""What all predictors share."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import Bounds
from semiseg.inference.confidence import Segmentation


class BasePredictor(ABC):
    """Predicts masks of whole images with one network."""

    @abstractmethod
    def segment(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Segmentation:
        """Like :meth:`predict`, with the confidence of the mask."""

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
