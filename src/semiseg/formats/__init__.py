"""File formats of images and masks. To add one: a file here and a line in ``FORMATS``.

``prepare``, ``predict`` and ``evaluate`` all read with these objects, so that a network sees an image in
one and the same form.
"""

from pathlib import Path

from semiseg.errors import UserError
from semiseg.formats.base import Format, Kind
from semiseg.formats.dicom_format import DICOM
from semiseg.formats.hdf5 import HDF5 as HDF5
from semiseg.formats.itk import ITK as ITK
from semiseg.formats.named import NAMED
from semiseg.formats.nifti import NIFTI as NIFTI
from semiseg.formats.npz import NPZ as NPZ
from semiseg.formats.picture_format import PICTURES as PICTURES
from semiseg.formats.picture_format import TIFF as TIFF
from semiseg.formats.volume_format import VolumeFormat

# Formats that are recognised by name come first: DICOM opens the file.
FORMATS: tuple[Format, ...] = (*NAMED, DICOM)


def find_format(path: Path) -> Format | None:
    """The format of ``path``; None where it has none that can be read."""
    return next((one for one in FORMATS if one.recognises(path)), None)


def format_of(path: Path) -> Format:
    """The format of ``path``.

    Raises:
        UserError: where it has none that can be read.
    """
    found = find_format(path)
    if found is None:
        raise UserError(f"{path} is no image that can be read ({', '.join(suffixes_of())}).")
    return found


def volume_format_of(path: Path) -> VolumeFormat:
    """The format of a file of voxels with an affine.

    Raises:
        UserError: where it has another one, or none.
    """
    for one in FORMATS:
        if isinstance(one, VolumeFormat) and one.recognises(path):
            return one
    raise UserError(f"{path} is no volume: use one of {', '.join(suffixes_of('volume'))}.")


def suffixes_of(*kinds: Kind) -> tuple[str, ...]:
    """How files of these kinds (default: of all) end."""
    return tuple(end for one in FORMATS if not kinds or one.kind in kinds for end in one.suffixes)


def is_image(path: Path) -> bool:
    """Whether ``path`` is, by its name, a file of any format."""
    return bool(suffix_of(path))


def is_volume(path: Path) -> bool:
    """Whether ``path`` is, by its name, a file of voxels with an affine."""
    return _is(path, "volume")


def is_picture(path: Path) -> bool:
    """Whether ``path`` is, by its name, a picture or a stack of pictures."""
    return _is(path, "picture")


def _is(path: Path, kind: Kind) -> bool:
    return any(one.kind == kind and one.suffix(path) for one in FORMATS)


def suffix_of(path: Path) -> str:
    """The suffix of an image in lower case (``.nii.gz`` as a whole); empty where the name says no format."""
    return next((end for one in FORMATS if (end := one.suffix(path))), "")


def stem_of(path: Path) -> str:
    """The file's name without its image suffix."""
    return path.name[: len(path.name) - len(suffix_of(path))]
