"""This field's HDF5: ``image`` and ``label`` without geometry."""

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


def read_hdf5(path: Path | str) -> Volume:
    """Read ``image`` and, where there, ``label``, of two or three axes: image [D, 1, H, W] as stored.

    Raises:
        UserError: as :func:`load_hdf5` and :func:`as_slices`.
    """
    return as_slices(load_hdf5(Path(path)), Path(path))


def load_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays ``image`` and ``label``, those of them that are there.

    Raises:
        UserError: for an unreadable file, and arrays that lie in other files or would take absurdly
            more memory than the file's size.
    """
    import h5py

    if not path.is_file():
        raise UserError(f"{path} does not exist: copy it or take it off its list.")
    try:
        with h5py.File(path, "r") as file:
            for key in KEYS:
                _check(file, key, path)
            return {key: np.asarray(file[key]) for key in KEYS if key in file}
    except (OSError, RuntimeError, TypeError, KeyError, ValueError):
        raise damaged(path, "HDF5") from None


def has_label(path: Path) -> bool:
    """Whether a file holds ``label``.

    Raises:
        UserError: where it cannot be read.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "label" in file
    except (OSError, RuntimeError):
        raise damaged(path, "HDF5") from None


def _check(file: Any, key: str, path: Path) -> None:
    """An array of HDF5 may lie in any other file of the machine, and be empty at any size."""
    import h5py

    link = file.get(key, getlink=True)
    if link is None:
        return
    array: Any = None if isinstance(link, h5py.ExternalLink) else file.get(key)
    own = isinstance(array, h5py.Dataset) and array.file.filename == file.filename
    if not own or array.external or array.is_virtual:
        raise UserError(f"{path} does not hold its array '{key}' itself: copy it into the file.")
    check_announced(path, array.shape or (), array.dtype.itemsize, compressed=True)
