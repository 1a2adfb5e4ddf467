""".npz files with the arrays ``image`` and ``label``; pickled objects are never loaded."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.arrays import DAMAGED
from semiseg.errors import UserError
from semiseg.files import check_file
from semiseg.formats.array_format import KEYS, ArrayFormat
from semiseg.formats.sizes import check_announced
from semiseg.formats.values import damaged

WORKING = 8  # bytes per value: a compact copy and comparisons
MAGIC = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}


class Npz(ArrayFormat):
    """NumPy's archives of arrays."""

    name = "npz"
    suffixes = (".npz",)

    def load(self, path: Path) -> dict[str, NDArray[Any]]:
        """The arrays; raises UserError for pickled objects and implausibly large arrays."""
        check_file(path, "copy it or remove it from the list")
        try:
            with zipfile.ZipFile(path) as archive:
                members = {info.filename: info for info in archive.infolist()}
                return {
                    key: _array(archive, members[f"{key}.npy"], path)
                    for key in KEYS
                    if f"{key}.npy" in members
                }
        except (*DAMAGED, RuntimeError, zlib.error, zipfile.BadZipFile, NotImplementedError):
            raise damaged(path, "a .npz file") from None

    def has_label(self, path: Path) -> bool:
        """Whether a file contains ``label``."""
        check_file(path, "copy it or remove it from the list")
        try:
            with zipfile.ZipFile(path) as archive:
                return "label.npy" in archive.namelist()
        except (OSError, zipfile.BadZipFile, ValueError):
            raise damaged(path, "a .npz file") from None

    def save(self, path: Path, name: str, array: NDArray[Any]) -> None:
        """Write one array."""
        arrays: dict[str, Any] = {name: array}
        np.savez_compressed(path, **arrays)


NPZ = Npz()


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> NDArray[Any]:
    with archive.open(info) as file:
        version, _ = np.lib.format.read_magic(file)
        shape, _, dtype = MAGIC[min(version, 2)](file)
    if dtype.hasobject:
        raise UserError(
            f"{path} contains pickled objects, which are not loaded because they can run any "
            "program: export plain arrays."
        )
    check_announced(path, shape, dtype.itemsize, compressed=True, working=WORKING)
    if math.prod(shape) * dtype.itemsize > info.file_size:
        raise damaged(path, "a .npz file")
    with archive.open(info) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # more values than the header says; the checksum is at the very end
            raise damaged(path, "a .npz file")
    return array
