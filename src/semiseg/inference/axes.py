"""The axes of an array passed to a trained network."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.text import joined, times

COLOURS = (3, 4)  # lengths of a last axis that holds colours, not columns


@dataclasses.dataclass(frozen=True)
class Slices:
    """An array in the form that a predictor expects.

    Attributes:
        image: [D, C, H, W].
        single: whether the array, and therefore its labels, has no axis of slices.
    """

    image: NDArray[Any]
    single: bool


def as_slices(array: ArrayLike, task: Task, dimensions: int) -> Slices:
    """Convert an array to [D, C, H, W].

    Args:
        array: numbers with one of the shapes that `shapes` lists.
        task: its channels determine the meaning of three axes.
        dimensions: dimensions of the network's input; 3 requires an axis of slices.

    Raises:
        UserError: for another shape, with the shapes that fit, or for values that are not finite.
    """
    values = np.asarray(array)
    if values.dtype.kind not in "iufb":
        raise UserError(
            f"The image must contain numbers, not values of type {values.dtype}: convert it first."
        )
    channels, shape = task.channels, values.shape
    fits = 0 not in shape
    if values.ndim == 2 and channels == 1 and dimensions == 2:
        image, single = values[None, None], True
    elif values.ndim == 3 and channels == 1:
        image, single = values[:, None], False
    elif values.ndim == 3 and shape[0] == channels and dimensions == 2:
        image, single = values[None], True
    elif values.ndim == 4 and shape[1] == channels:
        image, single = values, False
    else:
        image, single, fits = values, False, False
    if task.kind == "pictures" and shape[-1:] in [(n,) for n in COLOURS]:
        raise UserError(
            f"An image of shape {times(shape)} has its colours last: give "
            f"{joined(shapes(task, dimensions), 'or')}, such as np.moveaxis(image, -1, 0)"
            f"{', converted to grey' if channels == 1 else ''}."
        )
    if not fits:
        raise UserError(
            f"An image of shape {times(shape)} does not fit a network with "
            f"{'1 channel' if channels == 1 else f'{channels} channels'}"
            f"{' and three dimensions' if dimensions == 3 else ''}: give "
            f"{joined(shapes(task, dimensions), 'or')}."
        )
    if not np.isfinite(values).all():
        raise UserError("The image contains NaN or infinite values: replace them.")
    return Slices(image, single)


def shapes(task: Task, dimensions: int) -> list[str]:
    """Return the shapes that fit as text: D slices, C channels, H rows, W columns."""
    channels = task.channels
    if channels == 1:
        flat = ["[H, W]"] if dimensions == 2 else []
        return [*flat, "[D, H, W]", "[D, 1, H, W]"]
    flat = [f"[{channels}, H, W]"] if dimensions == 2 else []
    return [*flat, f"[D, {channels}, H, W]"]
