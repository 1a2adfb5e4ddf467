"""Prediction of slices with sliding windows at their own resolution."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.task import Bounds
from semiseg.inference.base import Place
from semiseg.inference.predictor import FLIPS
from semiseg.inference.sliding import slide
from semiseg.inference.windows import WindowPredictor


class CropPredictor(WindowPredictor):
    """Predict masks of slices with one network that was trained on crops (``data.crop_size``).

    Nothing is resampled; with ``resampling='labels'``, class codes are returned as probabilities of 0
    and 1. For networks that see whole slices see `Predictor`.
    """

    mirrored = FLIPS
    windows = 16
    slicewise: ClassVar[bool] = True

    def parts(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Iterator[tuple[Place, Tensor]]:
        """See `BasePredictor`."""
        for index, values in enumerate(self._slices(image, bounds)):
            yield (slice(index, index + 1), slice(None)), values[None]

    def probabilities(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        restored: bool = True,
        spacing: tuple[float, float, float] | None = None,
    ) -> NDArray[np.float32]:
        """[D, C, H, W] -> class probabilities [D, K, H, W]; ``restored`` has no effect."""
        parts = []
        for values in self._slices(image, bounds):
            if self.resampling == "labels":
                values = F.one_hot(values.argmax(0), values.shape[0]).movedim(-1, 0).float()
            parts.append(values.numpy())
        return np.stack(parts)

    @torch.inference_mode()
    def _slices(self, image: NDArray[np.generic], bounds: Bounds | None) -> Iterator[Tensor]:
        """Yield the class probabilities [K, H, W] of each slice, on the CPU."""
        bounds = self.bounds(image, bounds)
        sides = (1, *self.config.sides)
        for index in range(len(image)):
            volume = self.scaled(image[index : index + 1], bounds)  # [C, 1, H, W]
            found = slide(
                self._flat, volume, sides, self.config.overlap, self.device, self.batch_size
            )
            yield found[:, 0]

    def _flat(self, windows: Tensor) -> Tensor:
        """[B, C, 1, side, side] -> [B, K, 1, side, side]."""
        return self.mean_probabilities(windows[:, :, 0])[:, :, None]
