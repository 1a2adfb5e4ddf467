"""One description of a task: all that networks and predictors read of the data."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

NOT_DRAWN = 255  # in a label: nobody said what is here; counts in no loss and no metric


class Intensity(BaseModel):
    """How stored intensities become the network's input, in about [0, 1].

    ``minmax``: of the volume (the papers' ACDC); ``percentile``: of the volume, ``low`` and
    ``high`` are percentiles, clipped; ``window``: ``low`` and ``high`` are intensities, clipped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["minmax", "percentile", "window"]
    low: float = 0.0
    high: float = 1.0


class Task(BaseModel):
    """Made by ``prepare``, stored with the data, copied into each run.

    ``classes[0]`` is the background; the position of a name is its code in every label array, where
    ``NOT_DRAWN`` may stand too.
    ``spacing`` is the median (slice, row, column) spacing in mm, None where the format has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["volumes", "pictures"]
    channels: int
    classes: tuple[str, ...]
    intensity: Intensity
    spatial_dims: Literal[2, 3] = 2
    median_shape: tuple[int, int, int]
    spacing: tuple[float, float, float] | None = None

    @property
    def foreground(self) -> tuple[str, ...]:
        """The names of all classes but the background."""
        return self.classes[1:]


def normalise(
    image: NDArray[np.generic], intensity: Intensity, bounds: tuple[float, float]
) -> NDArray[np.float32]:
    """Scale so that ``bounds`` become 0 and 1; clipped unless the bounds are the extremes."""
    low, high = bounds
    scaled = (np.asarray(image, np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-12))
    return scaled if intensity.kind == "minmax" else np.clip(scaled, 0.0, 1.0)


def bounds_of(image: NDArray[np.generic], intensity: Intensity) -> tuple[float, float]:
    """The intensities that become 0 and 1 for one case (all its slices and channels)."""
    if intensity.kind == "window":
        return intensity.low, intensity.high
    if intensity.kind == "minmax":
        return float(image.min()), float(image.max())
    low, high = np.percentile(np.asarray(image, np.float32), [intensity.low, intensity.high])
    return (float(low), float(high)) if high > low else (float(image.min()), float(image.max()))
