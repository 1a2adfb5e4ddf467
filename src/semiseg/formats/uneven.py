"""Distances of the slices of a series: even, nearly even, or uneven and resampled."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError
from semiseg.text import listed, plural

SILENT = 0.01  # largest deviation from even positions, as a fraction of the distance of slices
TOLERATED = 0.1  # largest deviation that only causes a note
MOST = 4.0  # largest distance that is resampled, as a multiple of the smallest
TOLERANCE = 1e-3  # of places, in voxels
ISOLATED = 2  # wide distances in a row that are missing slices; more are another distance
REMEDY = "resample it with --uneven-slices resample"

Array = NDArray[np.float64]


def check_positions(positions: Array, normal: Array, thickness: float, name: str) -> Array:
    """The distances of neighbouring slices along their normal, in mm: [number of slices - 1].

    Args:
        positions: [slices, 3] positions in the order of the slices.
        normal: [3] unit normal of the slices.
        thickness: of a slice in mm; 0 if unknown.
        name: the series in messages.

    Raises:
        UserError: for several slices at one position.
    """
    distances = np.diff(positions @ normal)
    least = SILENT * max(float(np.median(distances)), thickness)
    count = int((distances <= least).sum())
    if count:
        raise UserError(
            f"{name} has {count:,} slices at the position of another slice (several time points or "
            "contrasts): export each as its own series."
        )
    return distances


def steps_of(positions: Array, distances: Array, name: str) -> tuple[Array, tuple[str, ...]]:
    """The step from one slice to the next, [3] in mm, and a note if slices are slightly uneven.

    Raises:
        UserError: for a gap, and for slices that are not at even distances.
    """
    usual = float(np.median(distances))
    widest = int(np.argmax(distances))
    runs = _runs(distances)
    multiple = distances[widest] / usual
    missing = max((b - a for a, b, mm in runs if mm > (1 + TOLERATED) * usual), default=0)
    if multiple > 1 + 2 * TOLERATED:
        if missing <= ISOLATED and abs(multiple - round(multiple)) <= TOLERATED * multiple:
            raise UserError(
                f"{name} has a gap of {distances[widest]:.4g} mm after slice {widest + 1} of "
                f"{len(positions)}, but other slices are {usual:.4g} mm apart: copy the missing "
                f"slices, {REMEDY}, or leave the series out."
            )
        words = (f"slices {a + 1} to {b + 1}: {mm:.4g} mm" for a, b, mm in runs)
        raise UserError(
            f"{name} has slices at different distances ({listed(words, 4)}): {REMEDY}, or leave the "
            "series out."
        )
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    even = positions[0] + np.arange(len(positions))[:, None] * step
    away = float(np.linalg.norm(positions - even, axis=1).max())
    if away > TOLERATED * usual:
        raise UserError(
            f"{name} has slices up to {away:.3g} mm away from even positions {usual:.4g} mm apart: "
            f"{REMEDY}, or leave the series out."
        )
    if away > SILENT * usual + 1e-3:
        return step, (
            f"{name}: slices are up to {away:.2g} mm away from even positions; treated as even.",
        )
    return step, ()


def resampled(positions: Array, distances: Array, name: str) -> tuple[Array, Array, str]:
    """An even grid for slices at uneven distances, whose step is the smallest distance.

    Returns:
        The step [3] in mm, the place of each slice on the grid's axis in voxels, and a note.

    Raises:
        UserError: for slices that do not lie on one line, and for distances that differ too much.
    """
    least, most = float(distances.min()), float(distances.max())
    if most > MOST * least:
        raise UserError(
            f"{name} has slices {least:.4g} to {most:.4g} mm apart, too uneven to be resampled: copy "
            "the missing slices, or leave the series out."
        )
    along = np.concatenate([[0.0], np.cumsum(distances)])
    line = (positions[-1] - positions[0]) / along[-1]
    away = float(np.linalg.norm(positions - positions[0] - along[:, None] * line, axis=1).max())
    if away > TOLERATED * least:
        raise UserError(
            f"{name} has slices that are shifted by up to {away:.3g} mm against each other: they "
            "cannot be resampled; leave the series out."
        )
    places = along / least
    count = depth_of(places)
    return (
        line * least,
        places,
        (
            f"{name}: {plural(len(positions), 'slice')} {least:.4g} to {most:.4g} mm apart are resampled "
            f"to {count} slices {least:.4g} mm apart (intensities linearly, labels by the nearest slice)."
        ),
    )


def depth_of(places: Sequence[float] | Array) -> int:
    """Number of slices of the grid that covers ``places``."""
    return math.ceil(places[-1] - TOLERANCE) + 1


def interpolated(planes: NDArray[Any], places: Sequence[float]) -> Array:
    """Slices at ``places`` (in voxels of the grid), interpolated linearly to 0, 1, 2, ...

    Args:
        planes: [slices, H, W].
        places: rising places of the slices, of which there are at least two.

    Returns:
        [D, H, W] float64.
    """
    at = np.interp(np.arange(depth_of(places)), places, np.arange(len(places)))
    low = np.minimum(at.astype(int), len(places) - 2)
    part = (at - low)[:, None, None]
    result: Array = planes[low] * (1 - part) + planes[low + 1] * part
    return result


def nearest(planes: NDArray[Any], places: Sequence[float]) -> NDArray[Any]:
    """Like :func:`interpolated`, with the values of the nearest slice (for class codes)."""
    at = np.interp(np.arange(depth_of(places)), places, np.arange(len(places)))
    found: NDArray[Any] = planes[np.rint(at).astype(int)]
    return found


def _runs(distances: Array) -> list[tuple[int, int, float]]:
    """Runs of equal distances as (first slice, last slice, distance in mm)."""
    runs: list[tuple[int, int, float]] = []
    for index, distance in enumerate(distances):
        if runs and abs(distance - runs[-1][2]) <= TOLERATED * runs[-1][2]:
            runs[-1] = (runs[-1][0], index + 1, runs[-1][2])
        else:
            runs.append((index, index + 1, float(distance)))
    return runs
