"""The ranges of size, spacing and intensity of the training images, and what lies outside of them.

A network is reliable only on images like those that it was trained on. Every range is that over the
training images, and an image may exceed it by a tolerance before it counts as unlike them.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from semiseg.data.fingerprint import CaseMeasures, Intensities, looks_like_ct, measures_of
from semiseg.data.task import Finite, Intensity, Task
from semiseg.data.volume import Volume
from semiseg.text import plural

SIDE_FACTOR = 2.0  # of sides in pixels, if there is no spacing
STEP_FACTOR = 1.5  # of the spacing within slices
SLICE_FACTOR = 2.0  # of the distance of slices
VIEW_FACTOR = 1.5  # of the field of view in mm, and of the aspect ratio
TOLERANCE = 0.15  # smallest tolerance of intensities, as a fraction of their scale
FEW, FEW_TOLERANCE = 10, 0.3  # below so many images, whose ranges are narrow by chance
QUANTILES = ("5%", "median", "95%")


class Range(BaseModel):
    """The smallest and the largest value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: Finite
    high: Finite

    @classmethod
    def of(cls, values: Iterable[float]) -> "Range":
        """The range of at least one value."""
        found = [float(value) for value in values]
        return cls(low=min(found), high=max(found))

    def exceeded(self, value: float, factor: float) -> bool:
        """Whether a positive value is smaller or larger by more than ``factor``."""
        return not self.low / factor <= value <= self.high * factor

    def far(self, value: float, tolerance: float) -> bool:
        """Whether a value lies outside by more than the width of the range, or ``tolerance``."""
        room = max(self.high - self.low, tolerance)
        return not self.low - room <= value <= self.high + room


class ChannelRanges(BaseModel):
    """Ranges of the percentiles 5, 50 and 95 of one channel.

    ``absolute``: as stored; ``relative``: as fractions of the range between the percentiles 0.5 and 99.5.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    absolute: tuple[Range, Range, Range]
    relative: tuple[Range, Range, Range]


class ImageRanges(BaseModel):
    """Ranges over the training images.

    Attributes:
        images: number of images.
        side: shorter and longer sides of slices in pixels.
        aspect: rows divided by columns.
        step: spacing within slices in mm; None if the format stores none.
        slice_step: distance of slices in mm, or None.
        view: sides of slices in mm, or None.
        channels: intensities of each channel.
        ct: whether all images look like a CT, or none does; None: some do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Annotated[int, Field(ge=1)]
    side: Range
    aspect: Range
    step: Range | None
    slice_step: Range | None
    view: Range | None
    channels: tuple[ChannelRanges, ...]
    ct: bool | None


@dataclasses.dataclass(frozen=True)
class Difference:
    """One way in which an image is unlike the training images; ``words`` compare the values."""

    kind: str
    words: str


def ranges_of(
    measures: Sequence[CaseMeasures],
    shapes: Sequence[tuple[int, int, int]],
    spacings: Sequence[tuple[float, float, float] | None],
) -> ImageRanges | None:
    """The ranges over images; None without any.

    Args:
        measures: measures of each image.
        shapes: [D, H, W] of each image.
        spacings: (slice, row, column) in mm of each image.
    """
    if not measures:
        return None
    known = [(shape, s) for shape, s in zip(shapes, spacings, strict=True) if s is not None]
    channels = zip(*(m.image for m in measures), strict=True)
    ct = {looks_like_ct(m.image, m.integers) for m in measures}
    return ImageRanges(
        images=len(measures),
        side=Range.of(side for shape in shapes for side in shape[1:]),
        aspect=Range.of(height / width for _, height, width in shapes),
        step=Range.of(s for _, own in known for s in own[1:]) if known else None,
        slice_step=Range.of(own[0] for _, own in known) if known else None,
        view=Range.of(mm for shape, own in known for mm in _view(shape, own)) if known else None,
        channels=tuple(_channel(channel) for channel in channels),
        ct=ct.pop() if len(ct) == 1 else None,
    )


def differences(
    volume: Volume, ranges: ImageRanges, task: Task, whole: bool, deep: bool
) -> list[Difference]:
    """How an image is unlike the training images; empty if it is like them.

    Args:
        volume: the image, with the channels of the training images.
        ranges: the ranges of the training images.
        task: the run's task, whose scaling decides which intensities are compared.
        whole: whether the network sees whole slices, resized.
        deep: whether the network sees volumes.
    """
    depth, _, height, width = volume.image.shape
    measures = measures_of(dataclasses.replace(volume, label=None))
    found = [
        *_sizes((depth, height, width), volume.spacing, ranges, whole, deep, task.kind),
        *_modality(measures, ranges, task),
    ]
    if any(difference.kind == "modality" for difference in found):
        return found  # other intensities follow from it
    return [*found, *_intensities(measures, ranges, task.intensity)]


def _sizes(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float] | None,
    ranges: ImageRanges,
    whole: bool,
    deep: bool,
    kind: str,
) -> list[Difference]:
    found = []
    _, height, width = shape
    if ranges.step is None or spacing is None:
        # pictures are reduced in the preparation, and whole slices to the size of the input
        if not whole and any(ranges.side.exceeded(side, SIDE_FACTOR) for side in (height, width)):
            found.append(("size", f"{height:,} x {width:,} pixels", _words(ranges.side, ",.0f")))
        if ranges.step is not None and kind == "volumes":
            found.append(("spacing", "no voxel size", f"{_words(ranges.step)} mm"))
    else:
        if any(ranges.step.exceeded(step, STEP_FACTOR) for step in spacing[1:]):
            own = f"{spacing[1]:.3g} x {spacing[2]:.3g} mm"
            found.append(("spacing", own, f"{_words(ranges.step)} mm"))
        view = _view(shape, spacing)
        if whole and ranges.view and any(ranges.view.exceeded(mm, VIEW_FACTOR) for mm in view):
            own = f"{view[0]:.0f} x {view[1]:.0f} mm"
            found.append(("field of view", own, f"sides of {_words(ranges.view, '.0f')} mm"))
        distance = ranges.slice_step
        if deep and distance and distance.exceeded(spacing[0], SLICE_FACTOR):
            found.append(("slice distance", f"{spacing[0]:.3g} mm", f"{_words(distance)} mm"))
    if whole and ranges.aspect.exceeded(height / width, VIEW_FACTOR):
        own = f"{height / width:.2g} times as high as wide"
        found.append(("aspect ratio", own, _words(ranges.aspect, ".2g")))
    return [_difference(*parts) for parts in found]


def _modality(measures: CaseMeasures, ranges: ImageRanges, task: Task) -> list[Difference]:
    known = task.kind == "volumes" and task.channels == 1 and ranges.ct is not None
    if not known or looks_like_ct(measures.image, measures.integers) == ranges.ct:
        return []
    own = "does not look like CT" if ranges.ct else "looks like CT"
    training = "CT" if ranges.ct else "not CT"
    return [_difference("modality", own, training)]


def _intensities(
    measures: CaseMeasures, ranges: ImageRanges, intensity: Intensity
) -> list[Difference]:
    fixed = intensity.kind == "window"
    scale = intensity.high - intensity.low if fixed else 1.0
    tolerance = scale * (FEW_TOLERANCE if ranges.images < FEW else TOLERANCE)
    for number, (own, of) in enumerate(zip(measures.image, ranges.channels, strict=True)):
        values = own.percentiles[1:4] if fixed else _relative(own)
        for name, value, limits in zip(
            QUANTILES, values, of.absolute if fixed else of.relative, strict=True
        ):
            if limits.far(value, tolerance):
                channel = f" of channel {number}" if len(ranges.channels) > 1 else ""
                unit = "" if fixed else " of the range between the 0.5th and 99.5th percentiles"
                return [
                    _difference(
                        "intensity", f"{name}{channel} at {value:.3g}{unit}", _words(limits, ".3g")
                    )
                ]
    return []


def _difference(kind: str, own: str, training: str) -> Difference:
    return Difference(kind, f"{own} (training images: {training})")


def _words(of: Range, form: str = ".3g") -> str:
    low, high = f"{of.low:{form}}", f"{of.high:{form}}"
    return low if low == high else f"{low} to {high}"


def _view(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> tuple[float, float]:
    return shape[1] * spacing[1], shape[2] * spacing[2]


def _relative(of: Intensities) -> tuple[float, float, float]:
    """Percentiles 5, 50 and 95 as fractions of the range between the percentiles 0.5 and 99.5."""
    low, *middle, high = of.percentiles
    a, b, c = ((value - low) / (high - low) if high > low else 0.0 for value in middle)
    return a, b, c


def _channel(of: Sequence[Intensities]) -> ChannelRanges:
    absolute = np.array([one.percentiles[1:4] for one in of])
    relative = np.array([_relative(one) for one in of])
    return ChannelRanges(absolute=_three(absolute), relative=_three(relative))


def _three(
    table: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
) -> tuple[Range, Range, Range]:
    """Ranges of the columns of [N, 3]."""
    a, b, c = (Range.of(column) for column in table.T)
    return a, b, c


def sentences(found: Sequence[tuple[str, Sequence[Difference]]]) -> list[str]:
    """One sentence for each kind of difference.

    Args:
        found: images, each with its differences.
    """
    by_kind: dict[str, list[tuple[str, Difference]]] = {}
    for image, own in found:
        for difference in own:
            by_kind.setdefault(difference.kind, []).append((image, difference))
    return [
        f"{plural(len(images), 'image')} unlike the training images in {kind}, for example "
        f"{images[0][0]}: {images[0][1].words}; check {'its mask' if len(images) == 1 else 'their masks'}."
        for kind, images in by_kind.items()
    ]
