"""The average of several networks' probabilities."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.task import Bounds, bounds_of
from semiseg.inference.base import BasePredictor, Place, Resampling
from semiseg.inference.predictor import check_channels

SLICES = 16
"""Slices that are averaged at once if no network sees volumes."""


class Ensemble(BasePredictor):
    """Average the probabilities of several predictors on the image's own grid, with equal weights.

    Each predictor resizes the image and scales its intensities as in its training. Where slices are
    predicted one by one, the average is in memory for 16 slices; with a network of volumes, for the whole
    image.

    Attributes:
        members: the predictors.
        task: a member's task. If a member scales intensities by a fixed window, it is that member's task,
            since the window decides which images can be read.
    """

    resampling: Resampling = "probabilities"
    slicewise: ClassVar[bool] = False

    def __init__(self, members: Sequence[BasePredictor]) -> None:
        """Args: members: predictors with the same channels and classes, which resample probabilities."""
        if not members or any(member.resampling != "probabilities" for member in members):
            raise ValueError("an ensemble averages the probabilities of at least one predictor")
        self.members = tuple(members)
        tasks = [member.task for member in members]
        self.task = next((task for task in tasks if task.intensity.kind == "window"), tasks[0])

    def probabilities(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        restored: bool = True,
        spacing: tuple[float, float, float] | None = None,
    ) -> NDArray[np.float32]:
        """[D, C, H, W] -> class probabilities [D, K, H, W]; ``restored`` has no effect."""
        found = [values.numpy() for _, values in self.parts(image, bounds, spacing)]
        return np.concatenate(found) if len(found) > 1 else found[0]

    @torch.inference_mode()
    def parts(
        self,
        image: NDArray[np.generic],
        bounds: Bounds | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Iterator[tuple[Place, Tensor]]:
        """See `BasePredictor`. Each part contains all classes.

        ``bounds`` are those of the ensemble's task. A member with another scaling measures its own on the
        image.
        """
        check_channels(image, self.task)
        scalings = {member.task.intensity for member in self.members}
        measured = {scaling: bounds_of(image, scaling) for scaling in scalings}
        if bounds is not None:
            measured[self.task.intensity] = bounds
        step = SLICES if all(member.slicewise for member in self.members) else len(image)
        for start in range(0, len(image), step):
            part = image[start : start + step]
            total = torch.zeros((len(part), len(self.task.classes), *part.shape[2:]))
            for member in self.members:
                _add(total, member.parts(part, measured[member.task.intensity], spacing))
            yield (slice(start, start + len(part)), slice(None)), total.div_(len(self.members))


def _add(total: Tensor, parts: Iterator[tuple[Place, Tensor]]) -> None:
    """Add a member's probabilities to the sum.

    In a function of its own, which keeps no part, and so no map, while the next member predicts.
    """
    for place, values in parts:
        total[place] += values.to(total.device)
