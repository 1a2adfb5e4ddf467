"""Pixels of the files that Pillow does not read: TIFF stacks, more than 8 bits, and ``.npy``."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from semiseg.formats.npy import NPY_SUFFIXES, npy_header, read_npy
from semiseg.formats.tiff import TIFF_SUFFIXES, Tiff, read_tiff, tiff_header


def pages_header(path: Path) -> Tiff | None:
    """The header of a file that `read_pages` reads; None if Pillow reads it.

    Raises:
        UserError: as in `semiseg.formats.tiff.tiff_header` and `semiseg.formats.npy.npy_header`.
    """
    if _is_npy(path):
        return npy_header(path)
    return tiff_header(path) if path.name.lower().endswith(TIFF_SUFFIXES) else None


def is_plain(path: Path, header: Tiff) -> bool:
    """Whether Pillow reads the file completely."""
    return header.plain and not _is_npy(path)


def read_pages(path: Path, stored: bool = False) -> NDArray[Any]:
    """All pages: [D, H, W, S]; see `semiseg.formats.tiff.read_tiff`.

    Raises:
        UserError: for a file that cannot be read.
    """
    if _is_npy(path):
        return read_npy(path)
    return read_tiff(path, stored)


def _is_npy(path: Path) -> bool:
    return path.name.lower().endswith(NPY_SUFFIXES)
