"""The description of a segmentation task, for networks and predictors."""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

IGNORE_INDEX = 255  # in a label: unknown class; excluded from losses and metrics

Side = Annotated[int, Field(ge=1)]
SMALLEST_STEP, LARGEST_STEP = 1e-9, 1e4
"""Bounds of a spacing in mm; products of three possible ones are far from the limits of a float."""
Step = Annotated[float, Field(ge=SMALLEST_STEP, le=LARGEST_STEP)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Colour = Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]
Bounds = tuple[float, float] | tuple[tuple[float, float], ...]
"""The intensities of a case that become 0 and 1: one pair for all channels, or one per channel."""


def is_possible(spacing: Iterable[float]) -> bool:
    """Whether all steps of a spacing in mm are within the bounds; NaN is not."""
    return all(SMALLEST_STEP <= step <= LARGEST_STEP for step in spacing)


def first_channel(bounds: Bounds) -> tuple[float, float]:
    """The pair of the first channel, for displaying one channel."""
    low, high = np.array(bounds, np.float64).reshape(-1, 2)[0]
    return float(low), float(high)


class Intensity(BaseModel):
    """Scaling of stored intensities to the network's input, to about [0, 1].

    ``minmax``: by the extremes of the volume (ACDC in the papers); ``percentile``: by the percentiles
    ``low`` and ``high`` of the volume, clipped; ``window``: by the intensities ``low`` and ``high``,
    clipped; ``zscore``: to mean 0 and deviation 1. Except for ``window``, each channel is scaled
    separately.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["minmax", "percentile", "window", "zscore"]
    low: Finite = 0.0
    high: Finite = 1.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.kind == "percentile" and not 0 <= self.low < self.high <= 100:
            raise ValueError("percentiles must be from 0 to 100, the lower one first")
        if self.kind == "window" and not self.low < self.high:
            raise ValueError("a window's low must be below its high")
        return self

    @property
    def words(self) -> str:
        """The scaling as text."""
        return {
            "minmax": "smallest and largest value of each image become 0 and 1",
            "percentile": f"percentiles {self.low:g} and {self.high:g} of each image become 0 and 1",
            "window": f"{self.low:g} and {self.high:g} become 0 and 1",
            "zscore": "mean and deviation of each image become 0 and 1",
        }[self.kind]

    @property
    def clips(self) -> bool:
        """Whether intensities outside the bounds are clipped."""
        return self.kind in ("percentile", "window")


def window_between(low: float, high: float) -> Intensity:
    """A window in whole numbers, at least 1 wide."""
    first, last = float(round(low)), float(round(high))
    return Intensity(kind="window", low=first, high=max(last, first + 1))


class Task(BaseModel):
    """A task: created by ``prepare``, stored with the data, and copied into each run.

    ``classes[0]`` is the background. The index of a class is its code in label arrays, which may also
    contain ``IGNORE_INDEX``.
    ``colours``: class -> ``#rrggbb``, for classes with a colour in the source.
    ``label_values``: value of each class in the source's labels, background first; None: the class codes.
    ``label_colours``: the same as ``#rrggbb``, if the source's labels are coloured pictures.
    ``spacing`` is the median (slice, row, column) spacing in mm, None if the format has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["volumes", "pictures"]
    channels: Annotated[int, Field(ge=1, le=4096)]
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=IGNORE_INDEX)]
    intensity: Intensity
    spatial_dims: Literal[2, 3] = 2
    median_shape: tuple[Side, Side, Side]
    spacing: tuple[Step, Step, Step] | None = None
    colours: dict[str, Colour] = {}
    label_values: tuple[Annotated[int, Field(ge=0, le=255)], ...] | None = None
    label_colours: tuple[Colour, ...] | None = None

    @model_validator(mode="after")
    def _background_first(self) -> Self:
        if self.classes[0] != "background" or len(set(self.classes)) < len(self.classes):
            raise ValueError("classes must be different names, of which the first is background")
        return self

    @model_validator(mode="after")
    def _one_value_a_class(self) -> Self:
        for name in ("label_values", "label_colours"):
            values = getattr(self, name)
            if values is not None and len(set(values)) != len(self.classes):
                raise ValueError(f"{name} must give each class a value of its own")
        return self

    @property
    def foreground(self) -> tuple[str, ...]:
        """The names of all classes except the background."""
        return self.classes[1:]


def normalise(
    image: NDArray[np.generic], intensity: Intensity, bounds: Bounds
) -> NDArray[np.float32]:
    """Scale [..., C, H, W] so that ``bounds`` become 0 and 1; clip if ``intensity.clips``."""
    low, high = np.array(bounds, np.float64).reshape(-1, 2).T[..., None, None]
    width = np.maximum(high - low, 1e-12).astype(np.float32)
    scaled: NDArray[np.float32] = (np.asarray(image, np.float32) - low.astype(np.float32)) / width
    return np.clip(scaled, 0.0, 1.0) if intensity.clips else scaled


def bounds_of(image: NDArray[np.generic], intensity: Intensity) -> Bounds:
    """The intensities of [D, C, H, W] that become 0 and 1: a pair, or one per channel."""
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
