"""Prediction of volumes with sliding windows, resampled to the original grid."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.resampling import new_shape, resample
from semiseg.data.task import Bounds, Task, bounds_of, normalise
from semiseg.errors import UserError
from semiseg.inference.predictor import Resampling, check_channels
from semiseg.inference.sliding import slide

FLIPS = tuple(
    axes for count in range(4) for axes in itertools.combinations((-3, -2, -1), count)
)  # none first


class VolumePredictor:
    """Predict masks of volumes with one network of 3D patches; for slices see `Predictor`.

    The volume is resampled to ``data.spacing`` if that is set. The probabilities of sliding windows are
    resampled linearly to the original grid, class by class, and the largest is taken.
    """

    def __init__(
        self,
        logits: Callable[[Tensor], Tensor],
        task: Task,
        config: DataConfig,
        device: torch.device | str = "cpu",
        flips: bool = False,
        resampling: Resampling = "probabilities",
        batch_size: int = 4,
    ) -> None:
        """Args: logits: [B, C, *patch] -> [B, K, *patch], in evaluation mode.

        flips: whether to average over the eight mirrored copies; batch_size: windows per batch.
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

        Args:
            spacing: spacing of the image, (slice, row, column) in mm.
        """
        own = (image.shape[0], *image.shape[2:])
        values = self._slide(image, bounds, spacing)
        if values.shape[1:] == own:
            return values.argmax(0).to(torch.uint8).numpy()
        if self.resampling == "labels":
            return _nearest(values, own).to(torch.uint8).numpy()
        best = torch.full(own, -1.0)
        codes = torch.zeros(own, dtype=torch.uint8)
        for code, restored in enumerate(self._restored(values, own)):
            codes[restored > best] = code
            best = torch.maximum(best, restored)
        return codes.numpy()

    def probabilities(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        restored: bool = True,
        spacing: tuple[float, float, float] | None = None,
    ) -> NDArray[np.float32]:
        """[D, C, H, W] -> class probabilities [D, K, H, W], on the network's grid if not ``restored``."""
        values = self._slide(image, bounds, spacing)
        own = (image.shape[0], *image.shape[2:])
        if restored and values.shape[1:] != own:
            if self.resampling == "labels":
                codes = F.one_hot(_nearest(values, own), values.shape[0])
                values = codes.movedim(-1, 0).float()
            else:
                values = torch.stack(list(self._restored(values, own)))
        return values.movedim(1, 0).contiguous().numpy()

    @torch.inference_mode()
    def _slide(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None,
        spacing: tuple[float, float, float] | None,
    ) -> Tensor:
        """Return probabilities [K, d, h, w] on the grid of the training."""
        check_channels(image, self.task)
        bounds = bounds or bounds_of(image, self.task.intensity)
        pixels = torch.from_numpy(normalise(image, self.task.intensity, bounds)).movedim(1, 0)
        if self.config.spacing is not None:
            if spacing is None:
                raise UserError(
                    "The image has no spacing, which a run with data.spacing needs: give it a spacing."
                )
            own = (image.shape[0], *image.shape[2:])
            pixels = resample(pixels, new_shape(own, spacing, self.config.spacing))
        return slide(
            self._probabilities, pixels, self.config.sides, self.config.overlap, self.device,
            self.batch_size,
        )  # fmt: skip

    def _probabilities(self, windows: Tensor) -> Tensor:
        total: Tensor | None = None
        for axes in self.flips:
            found = self.logits(windows.flip(axes)).float().softmax(1).flip(axes)
            total = found if total is None else total + found
        assert total is not None
        return total / len(self.flips)

    def _restored(self, values: Tensor, shape: tuple[int, ...]) -> Iterator[Tensor]:
        """Yield the classes' maps on the original grid, one at a time to save memory."""
        for value in values:
            yield resample(value[None], shape, antialias=False)[0]


def _nearest(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    codes = values.argmax(0)[None, None].float()
    return F.interpolate(codes, shape, mode="nearest-exact")[0, 0].long()
