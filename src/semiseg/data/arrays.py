"""Opening of stored arrays, which may be empty, cut off or of another kind."""

import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.files import is_special

DAMAGED = (OSError, ValueError, EOFError, TypeError, SyntaxError, ArithmeticError, MemoryError,
           AttributeError, LookupError, RecursionError, tokenize.TokenError)  # fmt: skip
"""What numpy raises for a file that is not a whole array."""


def open_array(path: Path) -> NDArray[Any] | None:
    """Map the array of a ``.npy`` file into memory; None if the file is missing, cut off or damaged.

    Only the header is read. Arrays of numbers are accepted, and pickled objects are never loaded.
    """
    if is_special(path):  # opening a pipe may wait for ever
        return None
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGED:
        return None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        return None
    return array
