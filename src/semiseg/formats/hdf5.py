"""HDF5 files with the arrays ``image`` and ``label``, without geometry."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError
from semiseg.files import check_file
from semiseg.formats.array_format import KEYS, ArrayFormat
from semiseg.formats.sizes import check_announced
from semiseg.formats.values import damaged

WORKING = 8  # bytes per value: a compact copy and comparisons


class Hdf5(ArrayFormat):
    """HDF5 through h5py; volumes of Synapse have the suffix ``.npy.h5``."""

    name = "HDF5"
    suffixes = (".h5", ".npy.h5")

    def load(self, path: Path) -> dict[str, NDArray[Any]]:
        """The arrays; raises UserError for an array that is stored in another file."""
        import h5py

        check_file(path, "copy it or remove it from the list")
        try:
            with h5py.File(path, "r") as file:
                for key in KEYS:
                    _check(file, key, path)
                return {key: np.asarray(file[key]) for key in KEYS if key in file}
        except (OSError, RuntimeError, TypeError, KeyError, ValueError):
            raise damaged(path, "HDF5") from None

    def has_label(self, path: Path) -> bool:
        """Whether a file contains ``label``."""
        import h5py

        check_file(path, "copy it or remove it from the list")
        try:
            with h5py.File(path, "r") as file:
                return "label" in file
        except (OSError, RuntimeError):
            raise damaged(path, "HDF5") from None

    def save(self, path: Path, name: str, array: NDArray[Any]) -> None:
        """Write one array, compressed with gzip."""
        import h5py

        with h5py.File(path, "w") as file:
            file.create_dataset(name, data=array, compression="gzip")


HDF5 = Hdf5()


def _check(file: Any, key: str, path: Path) -> None:
    """Refuse links to other files, which may be any file of the machine, and implausible sizes."""
    import h5py

    link = file.get(key, getlink=True)
    if link is None:
        return
    array: Any = None if isinstance(link, h5py.ExternalLink) else file.get(key)
    same_file = isinstance(array, h5py.Dataset) and array.file.filename == file.filename
    if not same_file or array.external or array.is_virtual:
        raise UserError(f"{path} only links to its array '{key}': copy the array into the file.")
    check_announced(path, array.shape or (), array.dtype.itemsize, compressed=True, working=WORKING)
