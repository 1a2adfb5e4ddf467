"""Which series a DICOM-SEG labels."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.formats.dicom import Series
from semiseg.formats.dicom_segments import Plane, Segmentation
from semiseg.formats.grid import GRID_TOLERANCE

NO_SERIES = "refer to a series that is not here, or that was left out"
UNPLACED = "refer to no series, and to no image or coordinate system of a series here"
SEVERAL = (
    "refer to no series and fit the grids of several series, so it is open which one they label"
)


@dataclasses.dataclass(frozen=True)
class Matched:
    """Segmentations by the UID of their series, and the number of others by the reason."""

    labels: dict[str, tuple[Segmentation, ...]]
    others: Counter[str]
    guessed: int

    def notes(self) -> list[str]:
        """Sentences about segmentations without a series, and about how others were matched."""
        notes = [f"left out: DICOM-SEG that {why} ({n:,})." for why, n in self.others.items()]
        if self.guessed:
            notes.append(
                f"{self.guessed:,} DICOM-SEG without a reference to a series are matched by the images "
                "or the coordinate system that they name."
            )
        return notes


def match_segmentations(segmentations: Sequence[Segmentation], series: Sequence[Series]) -> Matched:
    """Find the series of each segmentation.

    In this order: by the referenced series, by the images that it was derived from, and, if it refers to
    no series, by the coordinate system, if it fits the grid of a single series there. Of several series
    that a segmentation refers to, or was derived from, it labels those whose grids it fits.
    """
    labels: dict[str, list[Segmentation]] = {}
    others: Counter[str] = Counter()
    guessed = 0
    for one in segmentations:
        fitting, why = _series_of(one, series)
        if why is not None:
            others[why] += 1
        guessed += bool(fitting) and not any(found.uid in one.referenced for found in fitting)
        for found in fitting:
            labels.setdefault(found.uid, []).append(one)
    return Matched({uid: tuple(found) for uid, found in labels.items()}, others, guessed)


def _series_of(one: Segmentation, series: Sequence[Series]) -> tuple[Sequence[Series], str | None]:
    """The series that ``one`` labels, or why there is none."""
    sources = {found.uid for found in series if found.instances & one.instances}
    named = {found.uid for found in series if found.uid in one.referenced}
    uids = named & sources or named or sources
    found = [candidate for candidate in series if candidate.uid in uids]
    if len(found) > 1:
        found = _fitting(one, found) or found
    if found:
        return found, None
    if one.referenced:
        return (), NO_SERIES
    reference = one.frame_of_reference
    placed = _fitting(
        one, [other for other in series if reference and other.frame_of_reference == reference]
    )
    if len(placed) > 1:
        return (), SEVERAL
    return placed, None if placed else UNPLACED


@dataclasses.dataclass(frozen=True)
class Frames:
    """Where the frames of a segmentation lie that are parallel to the slices of a series, pixel on pixel.

    Attributes:
        on_slices: number of slices of the series that they lie on.
        beside: places where the series has no slice, on the third axis of its grid in voxels; rising.
    """

    on_slices: int
    beside: tuple[float, ...]

    @property
    def fit(self) -> bool:
        """Whether at least half of them lie on slices, as where a few slices of a series are missing."""
        return self.on_slices >= max(len(self.beside), 1)

    def millimetres(self, series: Series) -> list[float]:
        """The positions of `beside` in mm along the normal of the slices."""
        affine = series.stack.affine
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        normal /= np.linalg.norm(normal)
        return [
            float(normal @ (affine[:3, 3] + place * affine[:3, 2])) + 0.0 for place in self.beside
        ]


def frames_of(one: Segmentation, series: Series) -> Frames | None:
    """Where the frames of ``one`` lie; None if one is not parallel to the slices, pixel on pixel."""
    slices: set[int] = set()
    beside: list[float] = []
    for plane in dict.fromkeys(one.planes):  # segments share planes
        located = place_of(plane, series)
        if located is None:
            return None
        index = slice_at(located[0], series.stack.places)
        if index is None:
            beside.append(located[0])
        else:
            slices.add(index)
    return Frames(len(slices), tuple(sorted(beside)))


def slice_at(place: float, places: Sequence[float]) -> int | None:
    """The index of the slice at ``place``, in voxels of the grid; None if there is none."""
    index = int(np.argmin(np.abs(np.array(places) - place)))
    return index if abs(places[index] - place) <= GRID_TOLERANCE else None


def _fitting(one: Segmentation, series: Sequence[Series]) -> list[Series]:
    """The series on whose slices the frames lie: all frames or, if there is no such series, most."""
    frames = [(candidate, frames_of(one, candidate)) for candidate in series]
    found = [(candidate, where) for candidate, where in frames if where is not None and where.fit]
    return [candidate for candidate, where in found if not where.beside] or [
        candidate for candidate, _ in found
    ]


def place_of(plane: Plane, series: Series) -> tuple[float, NDArray[np.float64]] | None:
    """Where a plane lies on the third axis of a series' grid, and the affine from its pixels to a slice's.

    Returns:
        The place in voxels and a 3x3 affine from (column, row) to (column, row), both in pixels; None
        if the plane is not parallel to the slices, or lies between their pixels.
    """
    right, down = np.array(plane.orientation).reshape(2, 3)
    origin = np.array(plane.position)
    points = np.array([origin, origin + right * plane.spacing[1], origin + down * plane.spacing[0]])
    inverse = np.linalg.inv(series.stack.affine)
    found = points @ inverse[:3, :3].T + inverse[:3, 3]
    steps = np.array([found[1] - found[0], found[2] - found[0]])
    flat = np.ptp(found[:, 2]) <= GRID_TOLERANCE
    whole = np.rint(np.c_[steps[:, :2].T, found[0, :2]])
    away = np.abs(np.c_[steps[:, :2].T, found[0, :2]] - whole).max()
    one_each = (np.abs(whole[:, :2]).sum(0) == 1).all() and (np.abs(whole[:, :2]).sum(1) == 1).all()
    if not (flat and one_each and away <= GRID_TOLERANCE):
        return None
    return float(found[0, 2]), np.vstack([whole, [0, 0, 1]])
