"""Statistics of a data set, measured during preparation (nnU-Net's "fingerprint").

The statistics of a data set are medians over cases, so that a single unusual or large case has little
influence.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from semiseg.data.task import IGNORE_INDEX
from semiseg.data.volume import Volume

PERCENTILES = (0.5, 5.0, 50.0, 95.0, 99.5)
SAMPLE = 200_000  # voxels of a case for percentiles: enough for an error far below one percent
AIR, BONE = -900.0, 300.0  # HU: in a CT, air is below the first and bone above the second


class Frozen(BaseModel):
    """An immutable record that is stored as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Intensities(Frozen):
    """Extremes, mean, deviation, and the percentiles 0.5, 5, 50, 95 and 99.5 of one channel."""

    low: float
    high: float
    mean: float
    deviation: float
    percentiles: tuple[float, float, float, float, float]

    @classmethod
    def of(cls, values: NDArray[np.generic]) -> Self:
        """Measure an array that is not empty; for a large one, only evenly spaced voxels."""
        flat = values.reshape(-1)
        some = flat[:: max(flat.size // SAMPLE, 1)].astype(np.float64)
        return cls(
            low=float(flat.min()),
            high=float(flat.max()),
            mean=float(some.mean()),
            deviation=float(some.std()),
            percentiles=_five(np.percentile(some, PERCENTILES)),
        )

    @classmethod
    def median(cls, many: Sequence[Self]) -> Self:
        """The median of each number over cases."""
        low, high, mean, deviation, *rest = np.median(
            [(i.low, i.high, i.mean, i.deviation, *i.percentiles) for i in many], axis=0
        )
        return cls(
            low=float(low), high=float(high), mean=float(mean), deviation=float(deviation),
            percentiles=_five(np.array(rest)),
        )  # fmt: skip


class CaseMeasures(Frozen):
    """Intensities of each channel of a case, and those within the mask (None without foreground).

    ``integers``: whether all intensities are whole numbers.
    """

    image: tuple[Intensities, ...]
    foreground: tuple[Intensities, ...] | None = None
    integers: bool = False


def measures_of(volume: Volume) -> CaseMeasures:
    """The measures of one case."""
    image, label = volume.image, volume.label
    channels = range(image.shape[1])
    foreground = None
    if label is not None:
        marked = (label > 0) & (label != IGNORE_INDEX)
        if marked.any():
            foreground = tuple(Intensities.of(image[:, c][marked]) for c in channels)
    return CaseMeasures(
        image=tuple(Intensities.of(image[:, c]) for c in channels),
        foreground=foreground,
        integers=image.dtype.kind in "iu",
    )


class Spread(Frozen):
    """Minimum, median and maximum over cases of (slice, row, column) or [D, H, W]."""

    low: tuple[float, float, float]
    median: tuple[float, float, float]
    high: tuple[float, float, float]

    @classmethod
    def of(cls, triples: Sequence[tuple[float, ...]]) -> Self:
        """Measure each axis."""
        table = np.array(triples, np.float64)
        low, median, high = table.min(0), np.median(table, 0), table.max(0)
        return cls(low=_three(low), median=_three(median), high=_three(high))


class Fingerprint(Frozen):
    """Statistics of a data set that determine its default configuration.

    Attributes:
        shape: [D, H, W] in voxels.
        spacing: in mm; None if the format stores none.
        anisotropy: median slice distance divided by the median spacing within slices.
        image: intensities of each channel, medians over cases.
        foreground: the same within the masks of the training part; None without foreground.
        shares: fraction of the labelled voxels of the training part in each class.
        present: number of labelled training cases that contain each class.
        hounsfield: whether intensities look like those of a CT (whole numbers with air and bone).
    """

    shape: Spread
    spacing: Spread | None
    anisotropy: float | None
    image: tuple[Intensities, ...]
    foreground: tuple[Intensities, ...] | None
    shares: tuple[float, ...]
    present: tuple[int, ...]
    hounsfield: bool


def looks_like_ct(channels: Sequence[Intensities], integers: bool) -> bool:
    """Whether intensities of one channel are whole numbers with air and bone."""
    one = channels[0]
    return integers and len(channels) == 1 and one.low <= AIR and one.high >= BONE


def summarise(
    measures: Sequence[CaseMeasures],
    voxels: Sequence[Mapping[int, int] | None],
    shapes: Sequence[tuple[int, int, int]],
    spacings: Sequence[tuple[float, float, float] | None],
    classes: int,
    training: Sequence[bool],
) -> Fingerprint:
    """The fingerprint of a data set.

    Of labels, only those of the training part are used.

    Args:
        measures: measures of each case.
        voxels: number of voxels of each class code in each case; None for unlabelled cases.
        shapes: [D, H, W] of each case.
        spacings: (slice, row, column) in mm of each case.
        classes: number of classes, including the background.
        training: whether each case belongs to the training part.
    """
    known = [spacing for spacing in spacings if spacing is not None]
    spacing = Spread.of(known) if known else None
    anisotropy = None
    if spacing is not None:
        between, *within = spacing.median
        anisotropy = between / (sum(within) / 2)
    marked = [
        m.foreground
        for m, own in zip(measures, training, strict=True)
        if own and m.foreground is not None
    ]
    counts = np.array(
        [
            [(v or {}).get(code, 0) if own else 0 for code in range(classes)]
            for v, own in zip(voxels, training, strict=True)
        ]
    )
    total = counts.sum(0)
    middle = tuple(Intensities.median(c) for c in zip(*(m.image for m in measures), strict=True))
    return Fingerprint(
        shape=Spread.of(shapes),
        spacing=spacing,
        anisotropy=anisotropy,
        image=middle,
        foreground=(
            tuple(Intensities.median(c) for c in zip(*marked, strict=True)) if marked else None
        ),
        shares=tuple(float(count) for count in total / max(int(total.sum()), 1)),
        present=tuple(int(n) for n in (counts > 0).sum(0)),
        hounsfield=looks_like_ct(middle, all(m.integers for m in measures)),
    )


def _three(values: NDArray[np.float64]) -> tuple[float, float, float]:
    one, two, three = (float(f"{v:.6g}") for v in values)
    return one, two, three


def _five(values: NDArray[np.float64]) -> tuple[float, float, float, float, float]:
    a, b, c, d, e = (float(v) for v in values)
    return a, b, c, d, e
