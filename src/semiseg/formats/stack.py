"""Stacking of slices with positions in space to a volume."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import is_possible
from semiseg.errors import UserError
from semiseg.formats.grid import Affine
from semiseg.formats.uneven import check_positions, depth_of, resampled, steps_of
from semiseg.text import plural, times

PARALLEL = 1e-3  # largest difference of two direction cosines
SHEARED = 0.1  # degrees between normal and step from which programs refuse the grid
FEW = 3  # scouts that a series may contain

Uneven = Literal["refuse", "resample"]


@dataclasses.dataclass(frozen=True)
class Slice:
    """One slice of a file. LPS in mm; spacing is (between rows, between columns).

    ``orientation`` contains the directions of increasing column and of increasing row. The intensity
    of a stored value ``v`` is ``slope * v + intercept``; ``rescaled`` says whether the header gives
    them. ``thickness`` is 0 if unknown. ``uid`` is the SOPInstanceUID.
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
    rescaled: bool = False
    uid: str = ""


@dataclasses.dataclass(frozen=True)
class Stack:
    """Slices sorted along their normal, and their grid.

    Attributes:
        slices: the slices that are read.
        affine: (column, row, slice) of the grid to LPS in mm.
        notes: what a user should know.
        places: position of each slice on the grid's third axis, in voxels: 0, 1, 2, ..., except for
            slices at uneven distances, which are resampled.
        left_out: slices of another size or direction than the others, which are usually scouts.
    """

    slices: tuple[Slice, ...]
    affine: Affine
    notes: tuple[str, ...]
    places: tuple[float, ...]
    left_out: tuple[Slice, ...] = ()

    @property
    def depth(self) -> int:
        """Number of slices of the grid."""
        return depth_of(self.places)

    @property
    def even(self) -> bool:
        """Whether each slice is a slice of the grid."""
        return self.places == tuple(range(len(self.slices)))


def check_uneven(value: str) -> Uneven:
    """Check the value of ``--uneven-slices``.

    Raises:
        UserError: if it is neither refuse nor resample.
    """
    known: tuple[Uneven, ...] = ("refuse", "resample")
    for one in known:
        if value == one:
            return one
    raise UserError(f"--uneven-slices {value}: use refuse or resample.")


def stacked(slices: Sequence[Slice], name: str, uneven: Uneven = "refuse") -> Stack:
    """Sort slices along their normal and check that they form a grid.

    The step between slices is computed from the positions, so the grid is sheared if the gantry was
    tilted. Up to three slices of another size or direction are left out if the others form a grid.

    Args:
        slices: the slices of a series.
        name: the series in messages.
        uneven: whether slices at uneven distances are refused or resampled.

    Raises:
        UserError: for slices of different sizes, directions or spacing, several slices at one
            position, or a gap.
    """
    flaw = _difference(slices, name)
    if flaw is None:
        return _grid(slices, name, uneven)
    groups = Counter(_geometry(one) for one in slices)
    usual, count = groups.most_common(1)[0]
    if count > len(slices) - count <= FEW:
        same = [one for one in slices if _geometry(one) == usual]
        other = tuple(one for one in slices if _geometry(one) != usual)
        try:
            return dataclasses.replace(_grid(same, name, uneven), left_out=other)
        except UserError:  # the other slices are part of the stack
            raise flaw from None
    raise flaw


def _geometry(one: Slice) -> tuple[object, ...]:
    rounded = np.round(np.array([*one.orientation, *one.spacing]) / PARALLEL / 2) + 0.0
    return (one.size, *rounded)


def _difference(slices: Sequence[Slice], name: str) -> UserError | None:
    """The error for slices of different sizes, directions or spacings; None if there are none."""
    sizes = sorted({one.size for one in slices})
    if len(sizes) > 1:
        return UserError(
            f"{name} has slices of {' and '.join(times(size) for size in sizes[:2])} pixels: "
            "export each size as its own series."
        )
    for what, values in (
        ("directions", [one.orientation for one in slices]),
        ("pixel spacings", [one.spacing for one in slices]),
    ):
        if np.ptp(np.array(values), axis=0).max() > PARALLEL:
            return UserError(
                f"{name} has slices with different {what}: export each group as its own series."
            )
    return None


def _grid(slices: Sequence[Slice], name: str, uneven: Uneven) -> Stack:
    """The stack of slices of one size, direction and spacing."""
    first = slices[0]
    if 0 < sum(one.rescaled for one in slices) < len(slices):
        raise UserError(
            f"{name} has slices with a RescaleSlope or RescaleIntercept and slices without: their "
            "intensities have no common unit; export it again."
        )
    right, down = np.array(first.orientation).reshape(2, 3)
    normal = np.cross(right, down)
    skewed = max(abs(right @ down), abs(right @ right - 1), abs(down @ down - 1))
    if not skewed <= 10 * PARALLEL or not min(first.spacing) > 0:
        raise UserError(
            f"{name} has no valid directions or spacing in its headers: export it again."
        )
    order = sorted(slices, key=lambda one: float(normal @ np.array(one.position)))
    positions = np.array([one.position for one in order])
    places: NDArray[np.float64] = np.arange(len(order), dtype=np.float64)
    notes: tuple[str, ...] = ()
    if len(order) == 1:
        step = normal * (first.thickness or 1.0)
        if not first.thickness:
            notes = (f"{name} has one slice without a thickness: 1 mm is assumed.",)
    else:
        distances = check_positions(positions, normal, first.thickness, name)
        try:
            step, notes = steps_of(positions, distances, name)
        except UserError:
            if uneven == "refuse":
                raise
            step, places, note = resampled(positions, distances, name)
            notes = (note,)
    affine = np.eye(4)
    affine[:3, 0] = right * first.spacing[1]
    affine[:3, 1] = down * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    if not is_possible(np.linalg.norm(affine[:3, :3], axis=0)):
        raise UserError(
            f"{name} has no valid directions or spacing in its headers: export it again."
        )
    notes += _shear(step, normal, name)
    return Stack(tuple(order), affine, notes, tuple(float(place) for place in places))


def _shear(step: NDArray[np.float64], normal: NDArray[np.float64], name: str) -> tuple[str, ...]:
    """A note if the slices are shifted against each other, as by a tilted gantry."""
    along = float(step @ normal) / float(np.linalg.norm(normal))
    degrees = float(np.degrees(np.arctan2(np.linalg.norm(np.cross(step, normal)), along)))
    if degrees <= SHEARED:
        return ()
    return (
        f"{name} is sheared by {degrees:.3g} degrees (a tilted gantry): its masks keep this grid, which "
        "viewers built on ITK (3D Slicer, ITK-SNAP) do not open.",
    )


def left_out_note(stacks: Sequence[Stack]) -> list[str]:
    """A note about the slices that were left out of all stacks; empty if there are none."""
    count = sum(len(stack.left_out) for stack in stacks)
    if not count:
        return []
    return [
        f"left out: {plural(count, 'slice')} of another size or direction than the rest of the series "
        "(usually scouts)."
    ]
