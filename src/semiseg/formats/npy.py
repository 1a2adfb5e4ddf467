"""``.npy`` files: one array, the grey levels or colours of a picture or of the pages of a stack.

They store no geometry, and pickled objects are never loaded.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.arrays import DAMAGED
from semiseg.errors import UserError
from semiseg.files import atomic_output, check_file
from semiseg.formats.npz import MAGIC
from semiseg.formats.sizes import check_announced
from semiseg.formats.tiff import Tiff
from semiseg.formats.values import damaged
from semiseg.text import times

NPY_SUFFIXES = (".npy",)
WHAT = "a .npy file"
WORKING = 8  # bytes per value: conversions, and a compact copy
COLOURS = 3


def npy_header(path: Path) -> Tiff:
    """The header, as that of a TIFF without tags: [H, W], [D, H, W], or [H, W, 3] of 8 bits.

    Raises:
        UserError: for a file that is unreadable, another number of axes, axes whose meaning is open, or
            values that are not numbers.
    """
    shape, dtype = _announced(path)
    pages, height, width, channels = _axes(path, shape, dtype)
    return Tiff(pages, height, width, channels, dtype, bits=8 * dtype.itemsize)


def read_npy(path: Path) -> NDArray[Any]:
    """All pages: [D, H, W, S] with S samples per pixel. Boolean values become 0 and 1.

    Raises:
        UserError: as in `npy_header`, and for a file that is longer or shorter than its array.
    """
    shape, dtype = _announced(path)
    axes = _axes(path, shape, dtype)
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            more = file.read(1)
    except (*DAMAGED, RuntimeError):
        raise damaged(path, WHAT) from None
    if more:
        raise damaged(path, WHAT)
    return array.reshape(axes).astype(np.uint8 if dtype.kind == "b" else dtype, copy=False)


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write an array, atomically.

    Raises:
        UserError: if the file cannot be written.
    """
    with atomic_output(path) as partial:
        np.save(partial, array)


def _announced(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type in the header."""
    check_file(path)
    try:
        with path.open("rb") as file:
            version, _ = np.lib.format.read_magic(file)
            shape, _, dtype = MAGIC[min(version, 2)](file)
            begin = file.tell()
    except (*DAMAGED, RuntimeError):
        raise damaged(path, WHAT) from None
    if dtype.hasobject:
        raise UserError(
            f"{path} contains pickled objects, which are not loaded because they can run any program: "
            "export the mask or the image as a plain array (np.save), or as PNG or TIFF."
        )
    if dtype.kind not in "buif":
        raise UserError(f"{path} has {dtype} values: save whole or real numbers.")
    check_announced(path, shape, dtype.itemsize, compressed=False, working=WORKING)
    if math.prod(shape) * dtype.itemsize > path.stat().st_size - begin:
        raise damaged(path, WHAT)
    return shape, dtype


def _axes(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int, int, int]:
    """(D, H, W, S) of an array."""
    if len(shape) == 3 and shape[2] == 1:
        shape = shape[:2]
    if len(shape) == 3 and shape[2] == COLOURS and dtype == np.uint8:
        return 1, shape[0], shape[1], COLOURS
    if len(shape) not in (2, 3) or math.prod(shape) == 0:
        raise UserError(
            f"{path} contains an array of shape {times(shape)}: save rows x columns, slices x rows x "
            "columns, or rows x columns x 3 colours of 8 bits."
        )
    if len(shape) == 3 and (shape[0] == COLOURS or shape[2] in (2, COLOURS, 4)):
        raise UserError(
            f"{path} contains an array of shape {times(shape)}, which may be slices, colours or classes: "
            "save rows x columns of class codes, slices x rows x columns, or colours of 8 bits as rows x "
            "columns x 3."
        )
    pages = shape[0] if len(shape) == 3 else 1
    return pages, shape[-2], shape[-1], 1
