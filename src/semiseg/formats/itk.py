"""NRRD and MetaImage through SimpleITK (the extra ``itk``).

SimpleITK uses LPS coordinates and reverses the axes of arrays. Here, arrays have the axes of the
file, and affines are RAS.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError
from semiseg.files import atomic_output, check_file, inside
from semiseg.formats.base import Reference, file_of
from semiseg.formats.grid import (
    Affine,
    check_result,
    slice_axis_of,
    spacing_of,
    stored_order,
)
from semiseg.formats.itk_header import ItkHeader, check_itk_fields, itk_remarks, read_itk_header
from semiseg.formats.itk_whole import check_voxels
from semiseg.formats.sizes import check_announced
from semiseg.formats.values import damaged, reading
from semiseg.formats.volume_format import VolumeFormat

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
DETACHED = re.compile(r"^(?:ElementDataFile\s*=|data ?file:)\s*(.+?)\s*$", re.IGNORECASE)
HEADER = 2**16  # bytes, far more than a header needs
WORKING = 4  # bytes per voxel: a compact copy of the array, which is itself a copy
WHAT = "an image that SimpleITK supports"
ONE_FILE = {".mhd": ".mha", ".nhdr": ".nrrd"}  # for formats with header and voxels in two files


class Itk(VolumeFormat):
    """NRRD and MetaImage."""

    name = "NRRD, MetaImage"
    suffixes = (".nrrd", ".nhdr", ".mha", ".mhd")

    def load(self, path: Path) -> tuple[NDArray[Any], Affine]:
        """The voxels in the file's axes, and the affine; components of a voxel are channels."""
        return load_itk(path)

    def files(self, path: Path) -> tuple[Path, ...]:
        """The file itself and, if it is only a header, the files of its voxels."""
        return itk_files(path)

    def remarks(self, path: Path) -> dict[str, str]:
        """What is unusual in the header."""
        header = read_itk_header(path)
        return {} if header is None else itk_remarks(header)

    def mask_suffix(self, path: Path) -> str:
        """The suffix of a single file, even if the image has separate files for its voxels."""
        suffix = self.suffix(path)
        return ONE_FILE.get(suffix, suffix)

    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write on the grid of the image's file."""
        _write(path, np.asarray(mask, np.uint8)[None], file_of(like))

    def write_probabilities(
        self, path: Path, probabilities: NDArray[np.floating[Any]], like: Reference
    ) -> None:
        """Write an image with one component per class."""
        _write(path, np.asarray(probabilities, np.float32), file_of(like))


ITK = Itk()


def load_itk(path: Path) -> tuple[NDArray[Any], Affine]:
    """The voxels as [X, Y], [X, Y, Z] or [X, Y, Z, C], and the affine (RAS, mm).

    Components of a voxel and a fourth axis are both read as channels. Intensities are scaled by the
    slope and offset of a MetaImage header.

    Raises:
        UserError: for a file that is unreadable, damaged anywhere, refers to voxels outside its
            folder, or is too small for its announced size, or if SimpleITK is missing.
    """
    reader, header = _opened(path)
    others = _data_files(path)
    shape = (*reader.GetSize(), reader.GetNumberOfComponents())
    itemsize = header.itemsize or 1
    scaling = 0 if header.scale == (1.0, 0.0) else 8
    check_announced(
        path, shape, itemsize, compressed=True, working=itemsize + scaling + WORKING, others=others
    )
    check_voxels(header, others)
    with reading(path, WHAT):
        image = reader.Execute()
    data = _simple_itk(path).GetArrayFromImage(image)
    components = image.GetNumberOfComponentsPerPixel() > 1
    axes = list(range(image.GetDimension()))[::-1] + ([image.GetDimension()] if components else [])
    data = data.transpose(axes)
    if components and data.ndim == 3:  # a 2D image of several components
        data = data[:, :, None]
    slope, offset = header.scale
    if (slope, offset) != (1.0, 0.0):
        data = data * np.float64(slope) + offset
    return data, _affine(reader, header)


def _write(path: Path, data: NDArray[Any], reference_path: Path) -> None:
    itk = _simple_itk(path)
    reader, header = _opened(reference_path)
    size = reader.GetSize()
    dimension = min(len(size), 3)
    shape = (*size, 1, 1)[:3]
    affine = _affine(reader, header)
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
        _copy_units(header, partial)


def _copy_units(header: ItkHeader, target: Path) -> None:
    """Write the image's unit of length into the mask's header, as its numbers are in that unit."""
    name = next(
        (name for name in ("distanceunits", "space units", "units") if header.get(name)), None
    )
    written = read_itk_header(target)
    if name is None or written is None or written.nrrd != header.nrrd:
        return
    if header.nrrd:
        count = len(header.get(name).split('"')) // 2
        if count == 3:  # SimpleITK writes directions even if the image has only spacings
            line, mark = f"space units: {header.get(name)}\n", b"\nsizes:"
        else:
            return
    else:
        line, mark = f"DistanceUnits = {header.get(name)}\n", b"\nDimSize"
    content = target.read_bytes()
    place = content.index(mark) + 1
    target.write_bytes(content[:place] + line.encode() + content[place:])


def _affine(reader: Any, header: ItkHeader) -> Affine:
    """Voxel to RAS in mm; a 2D image has z = 0."""
    affine = np.eye(4)
    count = min(reader.GetDimension(), 3)
    affine[:count, :count] = _direction(reader)[:count, :count]
    affine[:count, :count] *= np.array(reader.GetSpacing())[:count]
    affine[:count, 3] = reader.GetOrigin()[:count]
    world, own = header.lengths()
    affine[:3, :3] *= own
    affine[:3, 3] *= own  # SimpleITK's origin of an image without directions is along the axes
    affine[:3] *= world[:, None]
    return LPS_TO_RAS @ affine


def _direction(reader: Any) -> NDArray[np.float64]:
    count = reader.GetDimension()
    return np.array(reader.GetDirection(), np.float64).reshape(count, count)


def _opened(path: Path) -> tuple[Any, ItkHeader]:
    """A reader that has read the header, and the fields that it ignores."""
    check_file(path)
    itk = _simple_itk(path)
    itk_files(path)
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    with reading(path, WHAT):
        header = read_itk_header(path)
        if header is None:
            raise damaged(path, WHAT)
        check_itk_fields(header)
        reader.ReadImageInformation()
    if reader.GetDimension() not in (2, 3, 4):
        raise UserError(f"{path} has {reader.GetDimension()} axes: save one 3D image per file.")
    return reader, header


def itk_files(path: Path) -> tuple[Path, ...]:
    """The file itself and, if it is only a header, the files of its voxels.

    Raises:
        UserError: if one is missing or is outside the header's folder.
    """
    others = _data_files(path)
    missing = next((file for file in others if not file.is_file()), None)
    if missing is not None:
        raise UserError(f"{path} refers to voxels in {missing.name}, which is missing: copy it.")
    return path, *others


def _data_files(path: Path) -> list[Path]:
    """Other files that contain the voxels.

    Raises:
        UserError: for one outside the header's folder, as a header may name any file.
    """
    return [inside(path.parent, name, path) for name in _named(path)]


def _named(path: Path) -> Iterator[str]:
    if not path.is_file():  # reported when the file is read
        return
    try:
        with open(path, "rb") as file:
            lines = file.read(HEADER).decode("latin-1").splitlines()
    except OSError:  # reported when the file is read
        return
    for number, line in enumerate(lines):
        if not line.strip() and lines[0].startswith("NRRD"):
            return  # end of the header
        found = DETACHED.match(line)
        if not found or found.group(1).upper() == "LOCAL":
            continue
        name = found.group(1)
        if name.upper().startswith("LIST"):
            yield from (other.strip() for other in lines[number + 1 :] if other.strip())
        elif "%" in name:
            raise UserError(f"{path} stores each slice in its own file: save it as one file.")
        else:
            yield name
        return


def _simple_itk(path: Path) -> Any:
    try:
        import SimpleITK
    except ImportError:
        raise UserError(
            f"{path} needs SimpleITK, which is not installed: run pip install 'semiseg[itk]'."
        ) from None
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK
