"""The upper bound of Dice for a network with a given input size, which is due to resizing.

Report it with every result at a small input size.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.data.evenly_spaced import evenly_spaced
from semiseg.data.manifest import Case, PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.classes import Classes, foreground, without_ignored
from semiseg.evaluation.overlap import dice

MOST_VOXELS = 200_000_000  # about half a minute; more voxels hardly change the result


def resize_nearest(label: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.generic]:
    """Resize slices of [D, H, W] to [D, *size] by nearest neighbour, with aligned pixel centres."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(size, label.shape[-2:], strict=True)
    )
    return label[:, rows[:, None], columns]


def resize_upper_bound(
    labels: Iterable[NDArray[np.generic]], size: int, classes: Classes
) -> dict[str, float | None]:
    """Return the mean 3D Dice of true masks against themselves, resized to ``size`` and back.

    Args:
        labels: [D, H, W] class codes of each volume (a picture is one slice); ignored pixels are
            left out.
        size: side of the network's square input in pixels.
        classes: names by position, background first, or code -> name.

    Returns:
        Name -> mean over the volumes with the class; None if there is none.

    Raises:
        UserError: if ``size`` is not positive.
    """
    if size < 1:
        raise UserError(f"The size of a network's input must be at least 1, got {size}.")
    named = foreground(classes)
    found: dict[str, list[float]] = {name: [] for name in named.values()}
    for label in labels:
        restored = resize_nearest(resize_nearest(label, (size, size)), label.shape[-2:])
        restored, label = without_ignored(restored, label)
        box = _filled(label, restored)  # the rest, often most of a volume, does not affect Dice
        label, restored = label[box], restored[box]
        for code, name in named.items():
            score = dice(restored == code, label == code)
            if score is not None:
                found[name].append(score)
    return {name: float(np.mean(scores)) if scores else None for name, scores in found.items()}


def sample_of(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that `resize_upper_bound_of_set` uses: all cases of a small set."""
    if not cases:
        return []
    voxels = sum(c.shape[0] * c.shape[2] * c.shape[3] for c in cases)
    count = min(len(cases), max(len(cases) * MOST_VOXELS // voxels, 10))
    return [cases[place] for place in evenly_spaced(len(cases), count)]


def resize_upper_bound_of_set(
    data: PreparedData, cases: Sequence[Case], size: int
) -> dict[str, float | None]:
    """Compute `resize_upper_bound` for labelled cases of a prepared set, or a sample of a large set."""
    labels = (np.asarray(data.label(case.identifier)) for case in sample_of(cases))
    return resize_upper_bound(labels, size, data.task.classes)


def _filled(one: NDArray[np.generic], other: NDArray[np.generic]) -> tuple[slice, slice, slice]:
    """Return the box of [D, H, W] outside which both arrays are 0."""
    either = (one != 0) | (other != 0)
    planes = either.any(axis=(1, 2)), either.any(axis=(0, 2)), either.any(axis=(0, 1))
    ends = [np.flatnonzero(plane)[[0, -1]] if plane.any() else (0, -1) for plane in planes]
    first, second, third = (slice(int(low), int(high) + 1) for low, high in ends)
    return first, second, third
