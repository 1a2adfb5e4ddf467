"""Conversion of stored values to intensities or class codes, with checks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError, is_out_of_memory
from semiseg.formats.content import what_it_is
from semiseg.text import times

LABEL_TOLERANCE = 1e-3  # largest distance of a stored class code from an integer


def compact(image: NDArray[Any], name: str | Path) -> NDArray[np.generic]:
    """The image as int16 if that is exact, else float32.

    Raises:
        UserError: for an image that is empty, constant, or contains NaN or infinity.
    """
    if image.size == 0:
        raise UserError(
            f"{name} is empty (shape {times(image.shape)}): leave it out or export it again."
        )
    if image.dtype.kind not in "biuf":
        raise UserError(f"{name} has {image.dtype} values: export it with plain intensities.")
    low, high = image.min(), image.max()
    if not (np.isfinite(low) and np.isfinite(high)):  # min and max propagate NaN
        raise UserError(f"{name} contains NaN or infinite values: repair it or leave it out.")
    if low == high:
        raise UserError(f"{name} is constant (every value is {low:g}): repair it or leave it out.")
    bounds = np.iinfo(np.int16)
    # slice by slice, so that no second array of this size is needed
    whole = image.dtype.kind in "biu" or all(bool((one == np.rint(one)).all()) for one in image)
    if whole and low >= bounds.min and high <= bounds.max:
        return np.ascontiguousarray(image, np.int16)
    if max(abs(float(low)), abs(float(high))) > np.finfo(np.float32).max:
        raise UserError(f"{name} contains values beyond 3e38: repair it or leave it out.")
    return np.ascontiguousarray(image, np.float32)


def as_codes(label: NDArray[Any], name: str | Path) -> NDArray[np.uint8]:
    """Class codes as uint8.

    Raises:
        UserError: for values that are not integers (tolerance 1e-3) or are outside 0..255.
    """
    if label.dtype.kind not in "biuf":
        raise UserError(f"{name} has {label.dtype} values: save one class code per pixel or voxel.")
    if label.dtype.kind == "f":
        # slice by slice, so that no second array of this size is needed; False for NaN
        if not all(bool((np.abs(one - np.rint(one)) <= LABEL_TOLERANCE).all()) for one in label):
            raise UserError(
                f"{name} is not a label (it contains values that are not whole numbers): "
                "export class codes 0, 1, 2, ... without interpolation."
            )
        label = np.rint(label)
    if label.size and (label.min() < 0 or label.max() > 255):
        raise UserError(
            f"{name} has class codes from {label.min():g} to {label.max():g}: use 0 to 255."
        )
    return np.ascontiguousarray(label, np.uint8)


def damaged(path: Path, what: str) -> UserError:
    """The error for a file that cannot be read as its format; it says what the file is instead.

    Raises:
        Exception: the error that is being handled, if the memory did not suffice: the file may be whole.
    """
    handled = sys.exception()
    if handled is not None and is_out_of_memory(handled):
        raise handled
    other = what_it_is(path, what)
    if other is not None:
        return UserError(f"{path} {other}")
    return UserError(
        f"{path} cannot be read as {what} (truncated or damaged): copy it again or leave it out."
    )


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn any error of a library that reads ``path`` into one sentence: damaged files raise any.

    Raises:
        UserError: instead of another exception, except that of too little memory.
    """
    try:
        yield
    except UserError:
        raise
    except Exception:
        raise damaged(path, what) from None
