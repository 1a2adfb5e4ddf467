"""Which class codes are scored, and under which names."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError

Classes = Sequence[str] | Mapping[int, str]


def foreground(classes: Classes) -> dict[int, str]:
    """Code -> name of every class but the background.

    Args:
        classes: names by position with the background first, as in a task; or code -> name.

    Raises:
        UserError: where no foreground class is left or two share a name.
    """
    named = dict(classes) if isinstance(classes, Mapping) else dict(enumerate(classes))
    named.pop(0, None)
    if not named or len(set(named.values())) < len(named):
        raise UserError(
            "Classes need the background and at least one other, each with its own name: "
            f"got {list(named.values())} beside the background."
        )
    return named


def codes_in(label: NDArray[np.generic]) -> list[int]:
    """The class codes that occur in a label array of integers (any shape), in rising order.

    Raises:
        UserError: for a label that is empty or holds no whole numbers from 0 on.
    """
    if label.size == 0 or label.dtype.kind not in "bui":
        raise UserError(
            f"A label needs whole numbers as class codes, got {label.dtype} of shape "
            f"{list(label.shape)}: take the class of the largest probability first."
        )
    if label.min() < 0:
        raise UserError(f"A label holds the class code {label.min()}: codes start at 0.")
    if label.max() > 65_535:  # counting needs memory for every code up to the largest
        return [int(code) for code in np.unique(label)]
    return [int(code) for code in np.flatnonzero(np.bincount(label.ravel()))]


def without_ignored(
    prediction: NDArray[np.generic], reference: NDArray[np.generic]
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Both (of one shape) with background where the reference is ignored: excluded from both."""
    ignored = reference == IGNORE_INDEX
    if not ignored.any():
        return prediction, reference
    return np.where(ignored, 0, prediction), np.where(ignored, 0, reference)


def check_codes(label: NDArray[np.generic], known: Mapping[int, str], what: str) -> None:
    """Refuse codes that are no class.

    Raises:
        UserError: naming ``what`` (the file or the array) and the codes.
    """
    strange = [code for code in codes_in(label) if code and code not in known]
    if strange:
        raise UserError(
            f"{what} holds the class codes {strange} but the classes are {sorted(known)}: "
            "name all classes, or merge them."
        )
