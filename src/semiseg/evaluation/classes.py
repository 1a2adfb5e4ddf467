"""The class codes that are scored, and their names."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError

Classes = Sequence[str] | Mapping[int, str]


def foreground(classes: Classes) -> dict[int, str]:
    """Return code -> name of every class except the background.

    Args:
        classes: names by position with the background first, as in a task; or code -> name.

    Raises:
        UserError: if there is no foreground class or two share a name.
    """
    named = dict(classes) if isinstance(classes, Mapping) else dict(enumerate(classes))
    named.pop(0, None)
    if not named or len(set(named.values())) < len(named):
        raise UserError(
            "Give the background and at least one other class, each with its own name: "
            f"got {list(named.values())} besides the background."
        )
    return named


def codes_in(label: NDArray[np.generic]) -> list[int]:
    """Return the class codes in an array of integers (any shape), in ascending order.

    Raises:
        UserError: if the array is empty or does not contain integers of at least 0.
    """
    if label.size == 0 or label.dtype.kind not in "bui":
        raise UserError(
            f"A label needs integers as class codes, got {label.dtype} of shape "
            f"{list(label.shape)}: take the argmax of probabilities first."
        )
    if label.min() < 0:
        raise UserError(f"A label contains the class code {label.min()}: use codes of at least 0.")
    if label.max() > 65_535:  # counts would need memory for every code up to the largest
        return [int(code) for code in np.unique(label)]
    return [int(code) for code in np.flatnonzero(np.bincount(label.ravel()))]


def without_ignored(
    prediction: NDArray[np.generic], reference: NDArray[np.generic]
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Set both arrays (of one shape) to background where the reference is ignored."""
    ignored = reference == IGNORE_INDEX
    if not ignored.any():
        return prediction, reference
    return np.where(ignored, 0, prediction), np.where(ignored, 0, reference)


def check_codes(label: NDArray[np.generic], known: Mapping[int, str], what: str) -> None:
    """Check that all codes are classes.

    Raises:
        UserError: if not; the message names ``what`` (the file or the array) and the codes.
    """
    strange = [code for code in codes_in(label) if code and code not in known]
    if strange:
        raise UserError(
            f"{what} contains the class codes {strange} but the classes are {sorted(known)}: "
            "name all classes, or merge them."
        )
