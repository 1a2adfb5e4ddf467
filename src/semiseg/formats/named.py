"""The formats that are recognised by a file's name."""

from pathlib import Path

from semiseg.formats.base import Format
from semiseg.formats.hdf5 import HDF5
from semiseg.formats.itk import ITK
from semiseg.formats.nifti import NIFTI
from semiseg.formats.npz import NPZ
from semiseg.formats.picture_format import NPY, PICTURES, TIFF

NAMED: tuple[Format, ...] = (NIFTI, ITK, PICTURES, TIFF, NPY, HDF5, NPZ)


def suffix_of(path: Path) -> str:
    """The suffix of an image in lower case, such as ``.nii.gz``; empty if no format has it."""
    return next((end for one in NAMED if (end := one.suffix(path))), "")
