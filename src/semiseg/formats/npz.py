"""This field's .npz slices: ``image`` and ``label``; what is pickled in them is never opened."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.arrays import as_slices
from semiseg.formats.sizes import check_announced
from semiseg.formats.values import damaged

KEYS = ("image", "label")
MAGIC = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}


def read_npz(path: Path | str) -> Volume:
    """Read ``image`` and, where there, ``label``: image [D, 1, H, W] as stored.

    Raises:
        UserError: as :func:`load_npz` and :func:`as_slices`.
    """
    return as_slices(load_npz(Path(path)), Path(path))


def load_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays ``image`` and ``label``, those of them that are there.

    Raises:
        UserError: for an unreadable file, pickled objects, arrays larger than the archive could hold.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: copy it or take it off its list.")
    try:
        with zipfile.ZipFile(path) as archive:
            inside = {info.filename: info for info in archive.infolist()}
            return {
                key: _array(archive, inside[f"{key}.npy"], path)
                for key in KEYS
                if f"{key}.npy" in inside
            }
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile,
            NotImplementedError):  # fmt: skip
        raise damaged(path, "a .npz file") from None


def has_npz_label(path: Path) -> bool:
    """Whether a file holds ``label``.

    Raises:
        UserError: where it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return "label.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        raise damaged(path, "a .npz file") from None


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> NDArray[Any]:
    with archive.open(info) as file:
        version, _ = np.lib.format.read_magic(file)
        shape, _, dtype = MAGIC[min(version, 2)](file)
    if dtype.hasobject:
        raise UserError(
            f"{path} holds pickled objects, which could run any program and are never opened: "
            "export plain arrays."
        )
    check_announced(path, shape, dtype.itemsize, compressed=True)
    if math.prod(shape) * dtype.itemsize > info.file_size:
        raise damaged(path, "a .npz file")
    with archive.open(info) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array
