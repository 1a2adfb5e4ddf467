"""Fields of a NIfTI header that nibabel repairs or ignores without a word.

`check_fields` refuses a header whose voxels would have another meaning than it says; `units_of` and
`remarks_of` give what is honoured. The header is read as it is stored, before nibabel's repairs.
"""

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.errors import UserError
from semiseg.formats import remarks
from semiseg.formats.grid import GRID_TOLERANCE, apart

CIFTI = range(3000, 3100)  # intent codes
XFORM_CODES = range(6)
LENGTHS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unit code (unknown, m, mm, um) -> mm
TIME_CODES = (0, 8, 16, 24, 32, 40, 48)
LARGEST_VOXEL = 100.0  # mm, in a file whose unit is the metre
NO_NUMBERS = {1: "single bits", 128: "colours (RGB24)", 2304: "colours (RGBA32)",
              32: "complex numbers", 1792: "complex numbers", 2048: "complex numbers"}  # fmt: skip


def stored_header(path: Path) -> Any | None:
    """The header as it is stored; None if the file does not begin with one.

    Returns:
        A ``Nifti1Header`` or ``Nifti2Header`` of nibabel that was neither checked nor repaired.
    """
    import nibabel

    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as file:
        start = file.read(540)
    for order in ("little", "big"):
        size = int.from_bytes(start[:4], order)
        kinds = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
        if size in kinds and len(start) >= size:
            endian = "<" if order == "little" else ">"
            return kinds[size](start[:size], endianness=endian, check=False)
    return None


def check_fields(header: Any, path: Path) -> None:
    """Check the fields that nibabel would replace by others.

    Args:
        header: as `stored_header` returns it.
        path: the file, for errors.

    Raises:
        UserError: for a CIFTI file, values that are not numbers, an unknown grid or unit, a scale that
            is not finite, and a voxel size that is needed but is not above 0.
    """
    if int(header["intent_code"]) in CIFTI:
        raise UserError(
            f"{path} is a CIFTI file, which holds values on a brain's surface and grey-matter points "
            "instead of a volume: give the NIfTI volume, or leave it out."
        )
    kind = NO_NUMBERS.get(int(header["datatype"]))
    if kind is not None:
        raise UserError(f"{path} holds {kind}: save one intensity or class code per voxel.")
    for name in ("qform_code", "sform_code"):
        if int(header[name]) not in XFORM_CODES:
            raise UserError(
                f"{path} has the unknown {name} {int(header[name])}, so its grid is not known: repair "
                "the header."
            )
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if np.isinf(slope) or (slope and np.isfinite(slope) and not np.isfinite(inter)):
        raise UserError(
            f"{path} has the intensity scale {slope:g} x + {inter:g} (scl_slope, scl_inter), which is "
            "not finite: repair the header."
        )
    sizes = np.asarray(header["pixdim"][1:4], np.float64)
    used = sizes[: min(max(int(header["dim"][0]), 1), 3)]
    if not int(header["sform_code"]) and not (np.isfinite(used) & (used > 0)).all():
        listed = " x ".join(f"{size:g}" for size in used)
        raise UserError(
            f"{path} has voxels of {listed} mm (pixdim), which must be above 0: repair the header."
        )


def units_of(header: Any, affine: Any, path: Path) -> float:
    """The length of the header's unit in mm.

    Raises:
        UserError: for an unknown unit, and for metres that cannot be meant.
    """
    code = int(header["xyzt_units"])
    factor = LENGTHS.get(code & 7)
    if factor is None or code & 56 not in TIME_CODES:
        raise UserError(
            f"{path} has the unknown unit {code} (xyzt_units): repair the header; 2 is mm."
        )
    largest = factor * float(np.linalg.norm(affine[:3, :3], axis=0).max())
    if factor > 1 and largest > LARGEST_VOXEL:
        raise UserError(
            f"{path} has voxels of {largest:,.4g} mm, because its unit is the metre (xyzt_units): set "
            "the unit to mm."
        )
    return factor


def remarks_of(header: Any, image: Any, path: Path) -> dict[str, str]:
    """Remarks on a header (see `semiseg.formats.remarks`).

    Args:
        header: as `stored_header` returns it.
        image: the image as nibabel loads it.
        path: the file.
    """
    found = {}
    if LENGTHS.get(int(header["xyzt_units"]) & 7, 1.0) != 1.0:
        found[remarks.UNITS] = path.name
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if not (sform or qform):
        found[remarks.NO_ORIENTATION] = path.name
    if sform and qform:
        other = image.header.get_qform()
        steps = np.linalg.norm(image.affine[:3, :3], axis=0)
        shape = (*image.shape, 1, 1)[:3]
        if not apart(other, image.affine, shape) <= GRID_TOLERANCE * steps.min():
            found[remarks.TWO_GRIDS] = path.name
    return found
