"""Prediction slice by slice, resampled to the original grid."""

from collections.abc import Callable, Collection, Iterator
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.loader import to_input
from semiseg.data.task import Bounds, Task, bounds_of, normalise
from semiseg.errors import UserError
from semiseg.inference.base import BasePredictor, Place, Resampling

Copies = tuple[tuple[int, ...], ...]
"""The axes of each mirrored copy."""
FLIPS: Copies = ((), (-1,), (-2,), (-2, -1))


def copies_along(axes: Collection[int], flips: Copies) -> Copies:
    """Return those of ``flips`` that mirror images along ``axes`` only (0: the first axis of an image)."""
    dims = max(map(len, flips))
    return tuple(copy for copy in flips if all(dims + axis in axes for axis in copy))


def check_channels(image: NDArray[np.generic], task: Task) -> None:
    """Check that an image [D, C, H, W] has the task's number of channels.

    Raises:
        UserError: if not; the message names both numbers.
    """
    if image.shape[1] != task.channels:
        raise UserError(
            f"The image has {image.shape[1]} channels, but the network was trained on {task.channels}: give "
            "an image with the same channels."
        )


class Predictor(BasePredictor):
    """Predict masks of whole volumes with one network.

    ``resampling``: ``probabilities`` (default) resamples probabilities to the original grid bilinearly,
    then takes the largest; ``labels`` resamples class codes by nearest neighbour, as in the papers'
    tables (see docs/evaluation.md).
    """

    slicewise: ClassVar[bool] = True

    def __init__(
        self,
        logits: Callable[[Tensor], Tensor],
        task: Task,
        size: int,
        device: torch.device | str = "cpu",
        flips: Collection[int] = (),
        resampling: Resampling = "probabilities",
        batch_size: int = 16,
    ) -> None:
        """Args: logits: [B, C, size, size] -> [B, K, size, size], in evaluation mode.

        flips: average over copies that are mirrored along these axes (0: rows, 1: columns).
        """
        self.logits, self.task, self.size, self.device = logits, task, size, torch.device(device)
        self.flips = copies_along(flips, FLIPS)
        self.resampling, self.batch_size = resampling, batch_size

    def parts(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Iterator[tuple[Place, Tensor]]:
        """See `BasePredictor`."""
        start = 0
        for probabilities in self._batches(image, bounds):
            end = start + len(probabilities)
            yield (slice(start, end), slice(None)), probabilities
            start = end

    def probabilities(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        restored: bool = True,
        spacing: tuple[float, float, float] | None = None,
    ) -> NDArray[np.float32]:
        """[D, C, H, W] -> class probabilities [D, K, H, W], or [D, K, size, size] if not ``restored``."""
        parts = [p.float().cpu().numpy() for p in self._batches(image, bounds, restored)]
        return np.concatenate(parts)

    @torch.inference_mode()
    def _batches(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None,
        restored: bool = True,
    ) -> Iterator[Tensor]:
        check_channels(image, self.task)
        bounds = bounds or bounds_of(image, self.task.intensity)
        height, width = image.shape[-2:]
        for start in range(0, len(image), self.batch_size):
            pixels = normalise(image[start : start + self.batch_size], self.task.intensity, bounds)
            x = to_input(torch.from_numpy(pixels), self.size).to(self.device)
            probabilities = torch.stack(
                [self.logits(x.flip(dims)).float().softmax(1).flip(dims) for dims in self.flips]
            ).mean(0)
            if not restored:
                yield probabilities
            elif self.resampling == "labels":
                classes = probabilities.shape[1]
                codes = probabilities.argmax(1, keepdim=True).float()
                codes = F.interpolate(codes, (height, width), mode="nearest-exact")[:, 0].long()
                yield F.one_hot(codes, classes).movedim(-1, 1).float()
            else:
                yield F.interpolate(probabilities, (height, width), mode="bilinear")
