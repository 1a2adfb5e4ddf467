"""What the predictors of crops and of volumes share: sliding windows of a network's input."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.task import Bounds, Task, bounds_of, normalise
from semiseg.inference.base import BasePredictor, Resampling
from semiseg.inference.predictor import Copies, check_channels, copies_along


class WindowPredictor(BasePredictor):
    """Average the probabilities of overlapping windows, weighted by a Gaussian; see `slide`."""

    mirrored: ClassVar[Copies]
    """Axes of each mirrored copy, none first."""
    windows: ClassVar[int]
    """Windows per batch."""

    def __init__(
        self,
        logits: Callable[[Tensor], Tensor],
        task: Task,
        config: DataConfig,
        device: torch.device | str = "cpu",
        flips: bool = False,
        resampling: Resampling = "probabilities",
        batch_size: int | None = None,
    ) -> None:
        """Args: logits: [B, C, *sides] -> [B, K, *sides], in evaluation mode.

        flips: whether to average over copies that are mirrored along ``config.mirrored_axes``;
        batch_size: windows per batch.
        """
        self.logits, self.task, self.config = logits, task, config
        self.device, self.batch_size = torch.device(device), batch_size or self.windows
        self.flips = copies_along(config.mirrored_axes if flips else (), self.mirrored)
        self.resampling = resampling

    def bounds(self, image: NDArray[np.generic], bounds: Bounds | None) -> Bounds:
        """Return ``bounds``, or those of the image [D, C, H, W] itself; check its channels."""
        check_channels(image, self.task)
        return bounds or bounds_of(image, self.task.intensity)

    def scaled(self, image: NDArray[np.generic], bounds: Bounds) -> Tensor:
        """Scale intensities: [D, C, H, W] -> [C, D, H, W]."""
        return torch.from_numpy(normalise(image, self.task.intensity, bounds)).movedim(1, 0)

    def mean_probabilities(self, windows: Tensor) -> Tensor:
        """Average over mirrored copies: [B, C, *sides] -> [B, K, *sides]."""
        total: Tensor | None = None
        for axes in self.flips:
            found = self.logits(windows.flip(axes)).float().softmax(1).flip(axes)
            total = found if total is None else total + found
        assert total is not None
        return total / len(self.flips)
