"""Which axes an array has that somebody hands to a trained network."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.text import joined, times

COLOURS = (3, 4)  # lengths of a last axis that is one of colours, not of columns


@dataclasses.dataclass(frozen=True)
class Slices:
    """An array as a predictor takes it.

    Attributes:
        image: [D, C, H, W].
        single: whether the array has no axis of slices, so that its labels have none.
    """

    image: NDArray[Any]
    single: bool


def as_slices(array: ArrayLike, task: Task, dimensions: int) -> Slices:
    """Bring an array to [D, C, H, W].

    Args:
        array: numbers of one of the shapes that `shapes` lists.
        task: its channels decide on what three axes are.
        dimensions: of the network's input; with 3 there must be an axis of slices.

    Raises:
        UserError: for another shape, with the shapes that fit; for values that are not finite numbers.
    """
    values = np.asarray(array)
    if values.dtype.kind not in "iufb":
        raise UserError(f"The image must hold numbers, not values of the type {values.dtype}.")
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
            f"An image of the shape {times(shape)} has its colours last: give "
            f"{joined(shapes(task, dimensions), 'or')}, such as np.moveaxis(image, -1, 0)"
            f"{', turned into grey' if channels == 1 else ''}."
        )
    if not fits:
        raise UserError(
            f"An image of the shape {times(shape)} does not fit a network of "
            f"{'1 channel' if channels == 1 else f'{channels} channels'}"
            f"{' and three dimensions' if dimensions == 3 else ''}: give "
            f"{joined(shapes(task, dimensions), 'or')}."
        )
    if not np.isfinite(values).all():
        raise UserError("The image holds NaN or infinite values: replace them.")
    return Slices(image, single)


def shapes(task: Task, dimensions: int) -> list[str]:
    """The shapes that fit, in words; D slices, C channels, H rows, W columns."""
    channels = task.channels
    if channels == 1:
        flat = ["[H, W]"] if dimensions == 2 else []
        return [*flat, "[D, H, W]", "[D, 1, H, W]"]
    flat = [f"[{channels}, H, W]"] if dimensions == 2 else []
    return [*flat, f"[D, {channels}, H, W]"]
