"""Prediction of volumes with sliding windows, resampled to the original grid."""

import itertools
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.resampling import new_shape, resample
from semiseg.data.task import Bounds
from semiseg.errors import UserError
from semiseg.inference.base import Place
from semiseg.inference.confidence import Segmentation, SoftDiceConfidence
from semiseg.inference.sliding import slide
from semiseg.inference.windows import WindowPredictor

FLIPS = tuple(
    axes for count in range(4) for axes in itertools.combinations((-3, -2, -1), count)
)  # none first


class VolumePredictor(WindowPredictor):
    """Predict masks of volumes with one network of 3D patches; for slices see `Predictor`.

    The volume is resampled to ``data.spacing`` if that is set. The probabilities of sliding windows are
    resampled linearly to the original grid, class by class, and the largest is taken.
    """

    mirrored = FLIPS
    windows = 4
    slicewise: ClassVar[bool] = False

    def segment(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Segmentation:
        """See `BasePredictor`."""
        own = (image.shape[0], *image.shape[2:])
        values = self._slide(image, bounds, spacing)
        confidence = SoftDiceConfidence(len(self.task.classes))
        if values.shape[1:] == own or self.resampling == "labels":
            codes = confidence.add(values)[1]
            if codes.shape != own:
                codes = _nearest(values, own)
            return Segmentation(codes.to(torch.uint8).numpy(), confidence.value)
        best = torch.full(own, -1.0)
        codes = torch.zeros(own, dtype=torch.uint8)
        for code, restored in enumerate(self._restored(values, own)):
            codes[restored > best] = code
            best = torch.maximum(best, restored)
            confidence.add_class(code, restored)
        confidence.add_mask(best, codes)
        return Segmentation(codes.numpy(), confidence.value)

    def parts(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Iterator[tuple[Place, Tensor]]:
        """See `BasePredictor`."""
        own = (image.shape[0], *image.shape[2:])
        values = self._slide(image, bounds, spacing)
        maps = values if values.shape[1:] == own else self._restored(values, own)
        for code, restored in enumerate(maps):
            yield (slice(None), code), restored

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
        pixels = self.scaled(image, self.bounds(image, bounds))
        if self.config.spacing is not None:
            if spacing is None:
                raise UserError(
                    "The image has no spacing, which a run with data.spacing needs: give it a spacing."
                )
            own = (image.shape[0], *image.shape[2:])
            pixels = resample(pixels, new_shape(own, spacing, self.config.spacing))
        return slide(
            self.mean_probabilities, pixels, self.config.sides, self.config.overlap, self.device,
            self.batch_size,
        )  # fmt: skip

    def _restored(self, values: Tensor, shape: tuple[int, ...]) -> Iterator[Tensor]:
        """Yield the classes' maps on the original grid, one at a time to save memory."""
        for value in values:
            yield resample(value[None], shape, antialias=False)[0]


def _nearest(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    codes = values.argmax(0)[None, None].float()
    return F.interpolate(codes, shape, mode="nearest-exact")[0, 0].long()
