"""Prediction of slices with sliding windows at their own resolution."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.task import Bounds, Task, bounds_of, normalise
from semiseg.inference.predictor import FLIPS, Resampling, check_channels
from semiseg.inference.sliding import slide


class CropPredictor:
    """Predict masks of slices with one network that was trained on crops (``data.crop_size``).

    The probabilities of overlapping windows are averaged, weighted by a Gaussian; see `slide`. Nothing
    is resampled. For networks that see whole slices see `Predictor`.
    """

    def __init__(
        self,
        logits: Callable[[Tensor], Tensor],
        task: Task,
        config: DataConfig,
        device: torch.device | str = "cpu",
        flips: bool = False,
        resampling: Resampling = "probabilities",
        batch_size: int = 16,
    ) -> None:
        """Args: logits: [B, C, side, side] -> [B, K, side, side], in evaluation mode.

        flips: whether to average over mirrored copies; batch_size: windows per batch.
        resampling: 'labels' returns class codes as probabilities of 0 and 1.
        """
        self.logits, self.task, self.config = logits, task, config
        self.device, self.batch_size = torch.device(device), batch_size
        self.flips = FLIPS if flips else FLIPS[:1]
        self.resampling = resampling

    def predict(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> NDArray[np.uint8]:
        """[D, C, H, W] -> class codes [D, H, W]; ``bounds`` default to those of the image itself.

        ``spacing`` is ignored; it is for `VolumePredictor`.
        """
        slices = self._slices(image, bounds)
        return np.stack([values.max(0).indices.to(torch.uint8).numpy() for values in slices])

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
        check_channels(image, self.task)
        bounds = bounds or bounds_of(image, self.task.intensity)
        sides = (1, *self.config.sides)
        for index in range(len(image)):
            pixels = normalise(image[index : index + 1], self.task.intensity, bounds)
            volume = torch.from_numpy(pixels).movedim(1, 0)  # [C, 1, H, W]
            found = slide(
                self._probabilities,
                volume,
                sides,
                self.config.overlap,
                self.device,
                self.batch_size,
            )
            yield found[:, 0]

    def _probabilities(self, windows: Tensor) -> Tensor:
        """[B, C, 1, side, side] -> [B, K, 1, side, side]."""
        x = windows[:, :, 0]
        found = [self.logits(x.flip(dims)).float().softmax(1).flip(dims) for dims in self.flips]
        return torch.stack(found).mean(0)[:, :, None]
