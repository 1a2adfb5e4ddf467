"""Tags of a TIFF that change the meaning of its values."""

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import is_possible
from semiseg.errors import UserError
from semiseg.formats.units import MILLIMETRES
from semiseg.formats.values import damaged

COLOURS = {"RGB": 3, "YCBCR": 3, "CIELAB": 3, "ICCLAB": 3, "ITULAB": 3, "SEPARATED": 4}
KNOWN = {"MINISWHITE", "MINISBLACK", "PALETTE", "MASK", *COLOURS}
BITS = (1, 2, 4, 8, 12, 16, 32, 64)
DEFLATE = (8, 32946)  # the compressions that store a checksum
STRAIGHT_LINE = 0  # ImageJ's code of a linear calibration
UNCALIBRATED = (20, 22)  # ImageJ's codes of none, and of optical density without a scale


def photometric(page: Any) -> str:
    """Name of the tag PhotometricInterpretation; empty if it is unknown."""
    return getattr(page.photometric, "name", "")


def check_tags(page: Any, path: Path) -> None:
    """Check that the values of a page are grey levels or colours, with nothing beside them.

    Raises:
        UserError: for another interpretation, an unusual number of bits, or samples beyond the
            colours that are not transparency.
    """
    name, bits = photometric(page), page.bitspersample
    if name not in KNOWN:
        raise UserError(
            f"{path} has values with the meaning {name or int(page.photometric)} (its tag "
            "PhotometricInterpretation): save grey or RGB."
        )
    if not isinstance(bits, int) or bits not in BITS:
        raise UserError(f"{path} has {bits} bits per value: save 8 or 16.")
    samples = int(page.samplesperpixel)
    beyond = samples - COLOURS.get(name, 1)
    alpha = sum(int(kind) in (1, 2) for kind in page.extrasamples)
    if beyond > alpha and not (name == "MINISBLACK" and samples > 2 and not page.extrasamples):
        raise UserError(
            f"{path} has {samples} values per pixel, of which {COLOURS.get(name, 1)} are colours: save "
            "other channels as separate files."
        )


def calibrated(file: Any, pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    """Intensities by the linear calibration of ImageJ, such as that of signed CT values.

    Raises:
        UserError: for a calibration that is not linear.
    """
    described = file.imagej_metadata or {}
    kind = described.get("cf")
    if kind is None or int(kind) in UNCALIBRATED:
        return pixels
    offset, slope = float(described.get("c0", 0.0)), float(described.get("c1", 1.0))
    if int(kind) != STRAIGHT_LINE or not (slope and np.isfinite([offset, slope]).all()):
        raise UserError(
            f"{path} has an ImageJ calibration that is not linear: save the calibrated values, for "
            "example as 32-bit floating point."
        )
    return pixels if (offset, slope) == (0.0, 1.0) else pixels * np.float64(slope) + offset


def displayed(pixels: NDArray[Any], page: Any) -> NDArray[Any]:
    """Values of which the largest is white: those of 'white is zero' are inverted."""
    if photometric(page) != "MINISWHITE":
        return pixels
    if pixels.dtype.kind == "u":
        return (np.iinfo(pixels.dtype).max >> (8 * pixels.itemsize - page.bitspersample)) - pixels
    return ~pixels if pixels.dtype.kind in "bi" else pixels.max() - pixels


def check_segments(file: Any, path: Path) -> None:
    """Decompress strips and tiles to their end, where their checksums are, if they have any.

    Libraries stop when a strip has all its rows. Only deflate stores checksums in a TIFF.

    Raises:
        UserError: for a wrong checksum.
    """
    with path.open("rb") as raw:
        for page in file.pages:
            if int(page.compression) not in DEFLATE:
                continue
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                raw.seek(offset)
                _check_deflate(raw.read(count), path)


def _check_deflate(content: bytes, path: Path) -> None:
    if not content:
        return  # an empty strip
    stream = zlib.decompressobj()
    try:
        while not stream.eof:
            found = stream.decompress(content, 2**20)
            content = stream.unconsumed_tail
            if not (content or found or stream.eof):
                raise damaged(path, "a TIFF image")
    except zlib.error:
        raise damaged(path, "a TIFF image") from None


def ome_spacing(file: Any) -> tuple[float, float, float] | None:
    """(slice, row, column) in mm of OME-TIFF's PhysicalSizeZ, Y and X; None if one is missing.

    OME's default unit is the micrometre.
    """
    text = file.ome_metadata or ""
    steps = []
    for axis in "ZYX":
        size = re.search(rf'PhysicalSize{axis}="([^"]+)"', text)
        unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', text)
        factor = MILLIMETRES.get(unit[1].lower() if unit else "µm")
        try:
            step = float(size[1]) * factor if size and factor else 0.0
        except ValueError:
            return None
        if not is_possible([step]):
            return None
        steps.append(float(f"{step:.6g}"))
    depth, row, column = steps
    return depth, row, column
