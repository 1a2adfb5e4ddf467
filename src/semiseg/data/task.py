"""One description of a task: all that networks and predictors read of the data."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

IGNORE_INDEX = 255  # in a label: nobody said what is here; counts in no loss and no metric

Bounds = tuple[float, float] | tuple[tuple[float, float], ...]
"""The intensities of one case that become 0 and 1: one pair for all channels, or a pair a channel."""


def first_channel(bounds: Bounds) -> tuple[float, float]:
    """The pair of the first channel, for what shows one channel."""
    low, high = np.array(bounds, np.float64).reshape(-1, 2)[0]
    return float(low), float(high)


class Intensity(BaseModel):
    """How stored intensities become the network's input, in about [0, 1].

    ``minmax``: of the volume (the papers' ACDC); ``percentile``: of the volume, ``low`` and
    ``high`` are percentiles, clipped; ``window``: ``low`` and ``high`` are intensities, clipped;
    ``zscore``: the volume's mean becomes 0 and its deviation 1. Each channel has its own, but for
    ``window``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["minmax", "percentile", "window", "zscore"]
    low: float = 0.0
    high: float = 1.0

    @property
    def words(self) -> str:
        """What becomes 0 and 1, as people read it."""
        return {
            "minmax": "smallest and largest value of each image become 0 and 1",
            "percentile": f"percentiles {self.low:g} and {self.high:g} of each image become 0 and 1",
            "window": f"{self.low:g} and {self.high:g} become 0 and 1",
            "zscore": "mean and deviation of each image become 0 and 1",
        }[self.kind]

    @property
    def clips(self) -> bool:
        """Whether what lies outside the bounds is clipped."""
        return self.kind in ("percentile", "window")


class Task(BaseModel):
    """Made by ``prepare``, stored with the data, copied into each run.

    ``classes[0]`` is the background; the position of a name is its code in every label array, where
    ``IGNORE_INDEX`` may stand too.
    ``colours``: class -> ``#rrggbb``, of those classes that the source shows in a colour of their own.
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
    colours: dict[str, Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]] = {}

    @property
    def foreground(self) -> tuple[str, ...]:
        """The names of all classes but the background."""
        return self.classes[1:]


def normalise(
    image: NDArray[np.generic], intensity: Intensity, bounds: Bounds
) -> NDArray[np.float32]:
    """[..., C, H, W] scaled so that ``bounds`` become 0 and 1, clipped by ``percentile`` and ``window``."""
    low, high = np.array(bounds, np.float64).reshape(-1, 2).T[..., None, None]
    width = np.maximum(high - low, 1e-12).astype(np.float32)
    scaled: NDArray[np.float32] = (np.asarray(image, np.float32) - low.astype(np.float32)) / width
    return np.clip(scaled, 0.0, 1.0) if intensity.clips else scaled


def bounds_of(image: NDArray[np.generic], intensity: Intensity) -> Bounds:
    """The intensities of [D, C, H, W] that become 0 and 1: a pair for each of several channels."""
    if intensity.kind == "window":
        return intensity.low, intensity.high
    pairs = tuple(_bounds(image[:, channel], intensity) for channel in range(image.shape[1]))
    return pairs if len(pairs) > 1 else pairs[0]


def _bounds(values: NDArray[np.generic], intensity: Intensity) -> tuple[float, float]:
    if intensity.kind == "zscore":
        mean, deviation = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        return mean, mean + deviation
    if intensity.kind == "percentile":
        low, high = np.percentile(np.asarray(values, np.float32), [intensity.low, intensity.high])
        if high > low:
            return float(low), float(high)
    return float(values.min()), float(values.max())
