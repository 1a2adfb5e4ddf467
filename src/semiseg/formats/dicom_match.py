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
        found = [candidate for candidate in found if _fits(one, candidate)] or found
    if found:
        return found, None
    if one.referenced:
        return (), NO_SERIES
    placed = [
        candidate
        for candidate in series
        if one.frame_of_reference
        and candidate.frame_of_reference == one.frame_of_reference
        and _fits(one, candidate)
    ]
    if len(placed) > 1:
        return (), SEVERAL
    return placed, None if placed else UNPLACED


def _fits(one: Segmentation, series: Series) -> bool:
    """Whether the frames lie on slices of the series, pixel on pixel."""
    return bool(one.planes) and all(place_of(plane, series) is not None for plane in one.planes)


def place_of(plane: Plane, series: Series) -> tuple[int, NDArray[np.float64]] | None:
    """The slice of a series on which a plane lies, and the affine from its pixels to the slice's.

    Returns:
        Index of the slice and a 3x3 affine from (column, row) to (column, row), both in pixels; None
        if the plane is not parallel to the slices, between them, or between their pixels.
    """
    right, down = np.array(plane.orientation).reshape(2, 3)
    origin = np.array(plane.position)
    points = np.array([origin, origin + right * plane.spacing[1], origin + down * plane.spacing[0]])
    inverse = np.linalg.inv(series.stack.affine)
    found = points @ inverse[:3, :3].T + inverse[:3, 3]
    places = np.array(series.stack.places)
    index = int(np.argmin(np.abs(places - found[0, 2])))
    steps = np.array([found[1] - found[0], found[2] - found[0]])
    flat = np.abs(found[:, 2] - places[index]).max() <= GRID_TOLERANCE
    whole = np.rint(np.c_[steps[:, :2].T, found[0, :2]])
    away = np.abs(np.c_[steps[:, :2].T, found[0, :2]] - whole).max()
    one_each = (np.abs(whole[:, :2]).sum(0) == 1).all() and (np.abs(whole[:, :2]).sum(1) == 1).all()
    if not (flat and one_each and away <= GRID_TOLERANCE):
        return None
    return index, np.vstack([whole, [0, 0, 1]])
