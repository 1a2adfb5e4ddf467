"""Stacking of slices with positions in space to a volume."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError
from semiseg.formats.grid import Affine
from semiseg.text import times

PARALLEL = 1e-3  # largest difference of two direction cosines
SILENT = 0.01  # largest deviation from even positions, as a fraction of the distance of slices
TOLERATED = 0.1  # largest deviation that only causes a note


@dataclasses.dataclass(frozen=True)
class Slice:
    """One slice of a file. LPS in mm; spacing is (between rows, between columns).

    ``orientation`` contains the directions of increasing column and of increasing row. The intensity
    of a stored value ``v`` is ``slope * v + intercept``.
    """

    path: Path
    frame: int
    size: tuple[int, int]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    thickness: float
    slope: float = 1.0
    intercept: float = 0.0


@dataclasses.dataclass(frozen=True)
class Stack:
    """Slices sorted along their normal, and the affine of (column, row, slice) to LPS in mm."""

    slices: tuple[Slice, ...]
    affine: Affine
    notes: tuple[str, ...]


def stacked(slices: Sequence[Slice], name: str) -> Stack:
    """Sort slices along their normal and check that they form a grid.

    The step between slices is computed from the positions, so the grid is sheared if the gantry was
    tilted.

    Raises:
        UserError: for slices of different sizes, directions or spacing, several slices at one
            position, or a gap; ``name`` is the series in messages.
    """
    first = slices[0]
    sizes = sorted({one.size for one in slices})
    if len(sizes) > 1:
        raise UserError(
            f"{name} has slices of {' and '.join(times(size) for size in sizes[:2])} pixels: "
            "export each size as its own series."
        )
    for what, values in (
        ("directions", [one.orientation for one in slices]),
        ("pixel spacings", [one.spacing for one in slices]),
    ):
        if np.ptp(np.array(values), axis=0).max() > PARALLEL:
            raise UserError(
                f"{name} has slices with different {what}: export each group as its own series."
            )
    right, down = np.array(first.orientation).reshape(2, 3)
    normal = np.cross(right, down)
    skewed = max(abs(right @ down), abs(right @ right - 1), abs(down @ down - 1))
    if not skewed <= 10 * PARALLEL or not min(*first.spacing, first.thickness) > 0:
        raise UserError(
            f"{name} has no valid directions or spacing in its headers: export it again."
        )
    order = sorted(slices, key=lambda one: float(normal @ np.array(one.position)))
    places = np.array([one.position for one in order])
    step, notes = _step(places, normal, first.thickness, name)
    affine = np.eye(4)
    affine[:3, 0] = right * first.spacing[1]
    affine[:3, 1] = down * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = places[0]
    return Stack(tuple(order), affine, notes)


def _step(
    places: NDArray[np.float64], normal: NDArray[np.float64], thickness: float, name: str
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The step from one slice to the next, and a note if the slices are slightly uneven."""
    if len(places) == 1:
        return normal * thickness, ()
    distances = np.diff(places @ normal)
    usual = float(np.median(distances))
    if distances.min() < SILENT * max(usual, thickness):
        count = int((distances < SILENT * max(usual, thickness)).sum())
        raise UserError(
            f"{name} has {count:,} slices at the position of another slice (several time points or "
            "contrasts): export each as its own series."
        )
    widest = int(np.argmax(distances))
    if distances[widest] > (1 + 2 * TOLERATED) * usual:
        raise UserError(
            f"{name} has a gap of {distances[widest]:.4g} mm after slice {widest + 1} of "
            f"{len(places)}, but other slices are {usual:.4g} mm apart: copy the missing slices, or "
            "leave the series out."
        )
    step = (places[-1] - places[0]) / (len(places) - 1)
    even = places[0] + np.arange(len(places))[:, None] * step
    away = float(np.linalg.norm(places - even, axis=1).max())
    if away > TOLERATED * usual:
        raise UserError(
            f"{name} has slices up to {away:.3g} mm away from even positions {usual:.4g} mm apart: "
            "resample it to even slices."
        )
    if away > SILENT * usual + 1e-3:
        return step, (
            f"{name}: slices are up to {away:.2g} mm away from even positions; treated as even.",
        )
    return step, ()
