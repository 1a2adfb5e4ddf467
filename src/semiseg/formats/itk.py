"""NRRD and MetaImage through SimpleITK (the extra ``itk``), masks out in the same format.

SimpleITK counts x, y, z and speaks of LPS; here arrays have the file's axes and affines are RAS.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError
from semiseg.files import atomic_output, inside
from semiseg.formats.base import Reference, file_of
from semiseg.formats.grid import (
    Affine,
    check_result,
    slice_axis_of,
    spacing_of,
    stored_order,
)
from semiseg.formats.sizes import check_announced
from semiseg.formats.values import damaged
from semiseg.formats.volume_format import VolumeFormat

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
DETACHED = re.compile(r"^(?:ElementDataFile\s*=|data ?file:)\s*(.+?)\s*$", re.IGNORECASE)
HEADER = 2**16  # bytes, far more than a header has
WORKING = 8  # bytes a voxel: the image, its array, and a compact copy
WHAT = "an image that SimpleITK knows"
ONE_FILE = {".mhd": ".mha", ".nhdr": ".nrrd"}  # where header and voxels are two files


class Itk(VolumeFormat):
    """NRRD and MetaImage."""

    name = "NRRD, MetaImage"
    suffixes = (".nrrd", ".nhdr", ".mha", ".mhd")

    def load(self, path: Path) -> tuple[NDArray[Any], Affine]:
        """The voxels in the file's axes, and the affine; components of a voxel are channels."""
        return load_itk(path)

    def files(self, path: Path) -> tuple[Path, ...]:
        """The file itself and, where it is a header alone, those that hold its voxels."""
        return itk_files(path)

    def mask_suffix(self, path: Path) -> str:
        """A mask is one file, also where header and voxels of its image are two."""
        suffix = self.suffix(path)
        return ONE_FILE.get(suffix, suffix)

    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write on the grid of the image's file."""
        _write(path, np.asarray(mask, np.uint8)[None], file_of(like))

    def write_probabilities(
        self, path: Path, probabilities: NDArray[np.floating[Any]], like: Reference
    ) -> None:
        """Write an image with one component for each class."""
        _write(path, np.asarray(probabilities, np.float32), file_of(like))


ITK = Itk()


def load_itk(path: Path) -> tuple[NDArray[Any], Affine]:
    """The voxels as [X, Y], [X, Y, Z] or [X, Y, Z, C], and the affine (RAS, mm).

    A vector of components and a fourth axis are both channels.

    Raises:
        UserError: for a file that is unreadable, keeps its voxels outside its folder, or would
            take absurdly more memory than its size; and without SimpleITK.
    """
    reader = _opened(path)
    shape = (*reader.GetSize(), reader.GetNumberOfComponents())
    check_announced(path, shape, 1, compressed=True, working=WORKING, others=_data_files(path))
    try:
        image = reader.Execute()
    except RuntimeError:
        raise damaged(path, WHAT) from None
    data = _simple_itk(path).GetArrayFromImage(image)
    components = image.GetNumberOfComponentsPerPixel() > 1
    axes = list(range(image.GetDimension()))[::-1] + ([image.GetDimension()] if components else [])
    data = data.transpose(axes)
    if components and data.ndim == 3:  # a flat image of several components
        data = data[:, :, None]
    return data, _affine(reader)


def _write(path: Path, data: NDArray[Any], reference_path: Path) -> None:
    itk = _simple_itk(path)
    reader = _opened(reference_path)
    size = reader.GetSize()
    dimension = min(len(size), 3)
    shape = (*size, 1, 1)[:3]
    affine = _affine(reader)
    restored = stored_order(data, slice_axis_of(shape, spacing_of(affine, reference_path)))
    check_result(restored.shape[:3], shape, path, reference_path)
    turned = restored.transpose(2, 1, 0, 3) if dimension == 3 else restored[:, :, 0].swapaxes(0, 1)
    vector = restored.shape[3] > 1
    image = itk.GetImageFromArray(turned if vector else turned[..., 0], isVector=vector)
    image.SetSpacing(reader.GetSpacing()[:dimension])
    image.SetOrigin(reader.GetOrigin()[:dimension])
    image.SetDirection(_direction(reader)[:dimension, :dimension].ravel().tolist())
    with atomic_output(path) as partial:
        try:
            itk.WriteImage(image, str(partial), useCompression=True)
        except RuntimeError:
            raise OSError("SimpleITK failed") from None


def _affine(reader: Any) -> Affine:
    """Voxel to RAS in mm; a flat image lies at z = 0."""
    affine = np.eye(4)
    count = min(reader.GetDimension(), 3)
    affine[:count, :count] = _direction(reader)[:count, :count]
    affine[:count, :count] *= np.array(reader.GetSpacing())[:count]
    affine[:count, 3] = reader.GetOrigin()[:count]
    return LPS_TO_RAS @ affine


def _direction(reader: Any) -> NDArray[np.float64]:
    count = reader.GetDimension()
    return np.array(reader.GetDirection(), np.float64).reshape(count, count)


def _opened(path: Path) -> Any:
    """A reader that knows the header."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: check the path.")
    itk = _simple_itk(path)
    itk_files(path)
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise damaged(path, WHAT) from None
    if reader.GetDimension() not in (2, 3, 4):
        raise UserError(f"{path} has {reader.GetDimension()} axes: save one 3D image per file.")
    return reader


def itk_files(path: Path) -> tuple[Path, ...]:
    """The file itself and, where it is a header alone, those that hold its voxels.

    Raises:
        UserError: for one that is missing or lies outside the header's folder.
    """
    others = _data_files(path)
    missing = next((file for file in others if not file.is_file()), None)
    if missing is not None:
        raise UserError(f"{path} keeps its voxels in {missing.name}, which is missing: copy it.")
    return path, *others


def _data_files(path: Path) -> list[Path]:
    """Other files that hold the voxels; a header could name any file of the machine.

    Raises:
        UserError: for one outside the header's folder.
    """
    return [inside(path.parent, name, path) for name in _named(path)]


def _named(path: Path) -> Iterator[str]:
    try:
        with open(path, "rb") as file:
            lines = file.read(HEADER).decode("latin-1").splitlines()
    except OSError:  # which is said when its turn comes
        return
    for number, line in enumerate(lines):
        if not line.strip() and lines[0].startswith("NRRD"):
            return  # the header's end
        found = DETACHED.match(line)
        if not found or found.group(1).upper() == "LOCAL":
            continue
        name = found.group(1)
        if name.upper().startswith("LIST"):
            yield from (other.strip() for other in lines[number + 1 :] if other.strip())
        elif "%" in name:
            raise UserError(f"{path} keeps each slice in a file of its own: save it as one file.")
        else:
            yield name
        return


def _simple_itk(path: Path) -> Any:
    try:
        import SimpleITK
    except ImportError:
        raise UserError(
            f"{path} is read by SimpleITK, which is not installed: pip install 'semiseg[itk]'."
        ) from None
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK
