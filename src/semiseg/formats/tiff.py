"""TIFF files that Pillow does not read without changes: several pages, 16 bits, floating point."""

import dataclasses
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import is_possible
from semiseg.errors import UserError
from semiseg.files import atomic_output, check_file
from semiseg.formats.quiet import hearing_libtiff, hearing_tifffile, quiet_pillow
from semiseg.formats.sizes import check_announced
from semiseg.formats.tiff_fields import (
    DEFLATE,
    calibrated,
    check_segments,
    check_tags,
    displayed,
    ome_spacing,
    photometric,
)
from semiseg.formats.units import MILLIMETRES
from semiseg.formats.values import damaged, reading
from semiseg.text import times

WHAT = "a TIFF image"
TIFF_SUFFIXES = (".tif", ".tiff", ".ome.tif", ".ome.tiff")
FAX = (2, 3, 4, 32771)  # compressions of black ink on white paper
WORKING = 8  # bytes per value: conversions, and a compact copy
MOST_BYTES = 2**32  # per image in memory
READING = (ValueError, OSError, KeyError, IndexError, TypeError, AttributeError, struct.error,
           RuntimeError, zlib.error, ArithmeticError, AssertionError)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Tiff:
    """The header of a TIFF.

    Attributes:
        pages: D, number of pages, which have the same size.
        height: height of a page after the rotation by the orientation tag.
        width: width of a page, likewise.
        channels: samples per pixel, without transparency.
        dtype: type of the samples.
        palette: samples are indices of a palette.
        bits: bits per sample.
        inverted: 0 is white, and the values are not those of a fax compression, which are bits of
            black ink: programs that read arrays return such values as they are stored.
        scaled: the intensities are those of a calibration by ImageJ.
        spacing: (slice, row, column) in mm of a stack with ImageJ metadata and a unit of length;
            else None, because the resolution alone may be that of a printer.
    """

    pages: int
    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]
    palette: bool = False
    bits: int = 8
    inverted: bool = False
    scaled: bool = False
    spacing: tuple[float, float, float] | None = None

    @property
    def plain(self) -> bool:
        """Whether the file has one page of at most 8 bits, which Pillow reads completely."""
        small = self.dtype.kind in "bu" and self.dtype.itemsize == 1
        return self.pages == 1 and small and not self.scaled


def tiff_header(path: Path) -> Tiff | None:
    """The header of a TIFF; None if the file has another format in spite of its name.

    Raises:
        UserError: for pages of different sizes, several channels that are not colours, or an
            implausible size.
    """
    with _opened(path) as file:
        return None if file is None else _header(file, path)


def read_tiff(path: Path, stored: bool = False) -> NDArray[Any]:
    """All pages, rotated by the orientation tag: [D, H, W, S] with S samples per pixel.

    Args:
        path: the file.
        stored: return values as they are stored, for masks; otherwise as they are displayed ('white is
            zero' is inverted), and with ImageJ's calibration.

    Raises:
        UserError: as in `tiff_header`, and for a file that is damaged or has an unknown compression.
    """
    with _opened(path) as file:
        if file is None:
            raise damaged(path, WHAT)
        header = _header(file, path)
        page, axes = file.pages[0], file.series[0].axes
        shown = False
        try:
            check_segments(file, path)
            try:
                pixels = file.series[0].asarray(maxworkers=1)  # files are read in parallel
            except (ValueError, RuntimeError) as error:
                if "imagecodecs" not in str(error):
                    raise
                # Pillow inverts 'white is zero', and turns pages by the tag in some cases
                pixels, axes, shown = _by_pillow(path, _orientation(page)), "QYXS", True
            pixels = _ordered(pixels, axes)
        except READING:
            raise damaged(path, WHAT) from None
        if pixels.shape[0] != header.pages or pixels.shape[3] < header.channels:
            raise damaged(path, WHAT)
        if shown and stored and header.inverted:
            pixels = ~pixels if pixels.dtype.kind == "b" else 255 - pixels
        elif not (stored or shown):
            pixels = calibrated(file, pixels, path) if header.scaled else displayed(pixels, page)
        orientation = _orientation(page)
    return _turned(pixels[..., : header.channels], orientation)


def check_tiff(path: Path) -> bool:
    """Check the checksums of a TIFF that Pillow reads; other formats are not looked at.

    Returns:
        Whether libtiff decompresses the file in another way, and prints what it finds wrong.

    Raises:
        UserError: for a wrong checksum.
    """
    with _opened(path) as file:
        if file is None:
            return False
        with reading(path, WHAT):
            check_segments(file, path)
        return int(file.pages[0].compression) not in (1, *DEFLATE)


def write_tiff_stack(path: Path, codes: NDArray[np.uint8]) -> None:
    """Write class codes or grey values [D, H, W] as a TIFF of D pages, atomically.

    Raises:
        UserError: if the file cannot be written.
    """
    import tifffile

    with atomic_output(path) as partial:
        tifffile.imwrite(
            partial, codes, compression="zlib", photometric="minisblack", metadata={"axes": "ZYX"}
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield the open file; None if it is not a TIFF."""
    import tifffile

    check_file(path)
    file = None
    with hearing_tifffile() as messages:
        try:
            try:
                file = tifffile.TiffFile(path)
                complete = file.series is not None and not _is_truncated(messages)
            except tifffile.TiffFileError:
                complete = True  # another format with this suffix
            except READING:
                complete = False
            if not complete:
                raise damaged(path, WHAT)
            yield file
        finally:
            if file is not None:
                file.close()


def _is_truncated(messages: Sequence[str]) -> bool:
    """Whether tifffile has logged that pages are missing; it returns the others without an error."""
    return any("page offset" in text or "failed to reshape" in text for text in messages)


def _header(file: Any, path: Path) -> Tiff:
    try:
        series, page = file.series, file.pages[0]
        shape, axes, dtype = tuple(series[0].shape), series[0].axes, series[0].dtype
        several = len(series) > 1
        meaning, orientation = photometric(page), _orientation(page)
        check_tags(page, path)
        bits, samples_kept = int(page.bitspersample), meaning != "YCBCR"
        scaled = bool((calibrated(file, np.arange(2), path) != np.arange(2)).any())
        packed = int(page.compression) != 1 or bits != 8 * dtype.itemsize or not samples_kept
    except READING:
        raise damaged(path, WHAT) from None
    if several:
        raise UserError(f"{path} has pages of different sizes: save each as its own picture.")
    sizes = {axis: size for axis, size in zip(axes, shape, strict=True) if size > 1 or axis in "YX"}
    others = [axis for axis in sizes if axis not in "YXS"]
    if dtype is None or dtype.kind not in "buif" or not {"Y", "X"} <= sizes.keys():
        raise UserError(f"{path} has {dtype} values: save plain grey or RGB.")
    if len(others) > 1 or "C" in others:
        raise UserError(
            f"{path} has the axes {axes} ({times(shape)}): save slices as pages, colours as RGB, and "
            "other channels or time points as separate files."
        )
    if math.prod(shape) * dtype.itemsize > MOST_BYTES:
        raise UserError(
            f"{path} ({path.stat().st_size:,} bytes) claims {times(shape)} values, which is too large "
            "to be read: copy it again, reduce it or cut it into tiles."
        )
    check_announced(path, shape, dtype.itemsize, compressed=packed, working=WORKING)
    samples = sizes.get("S", 1)
    channels = 3 if samples >= 3 and meaning in ("RGB", "YCBCR") else 1
    if samples > 2 and channels == 1 and not (dtype.itemsize == 1 and not others):
        raise UserError(f"{path} has {samples} values per pixel but is not RGB: save grey or RGB.")
    height, width = sizes["Y"], sizes["X"]
    if orientation in (5, 6, 7, 8):
        height, width = width, height
    pages = sizes[others[0]] if others else 1
    spacing = (_spacing(file, page) or ome_spacing(file)) if pages > 1 else None
    compression = int(page.compression)
    return Tiff(
        pages, height, width, channels, dtype, meaning == "PALETTE", bits,
        inverted=meaning == "MINISWHITE" and compression not in FAX, scaled=scaled,
        spacing=spacing,
    )  # fmt: skip


def _spacing(file: Any, page: Any) -> tuple[float, float, float] | None:
    try:
        described = file.imagej_metadata or {}
        unit = MILLIMETRES.get(str(described.get("unit", "")).lower())
        distance = float(described.get("spacing", 0))
        across, down = (page.tags[tag].value for tag in ("XResolution", "YResolution"))
        if unit is None:
            return None
        spacing = (
            unit * distance, unit * down[1] / down[0], unit * across[1] / across[0],
        )  # fmt: skip
    except (*READING, ZeroDivisionError):
        return None
    if not is_possible(spacing):
        return None
    first, second, third = (float(f"{step:.6g}") for step in spacing)
    return first, second, third


def _orientation(page: Any) -> int:
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None else 1


def _by_pillow(path: Path, orientation: int) -> NDArray[Any]:
    """[D, H, W, S], for compressions that tifffile does not support by itself."""
    from PIL import Image, ImageSequence, UnidentifiedImageError

    quiet_pillow()
    try:
        if orientation != 1:
            raise UnidentifiedImageError
        with hearing_libtiff() as errors, Image.open(path) as file:
            pages = [np.asarray(page) for page in ImageSequence.Iterator(file)]
    except UnidentifiedImageError:
        raise UserError(
            f"{path} is packed or compressed in an unusual way: save it uncompressed with 8 or 16 bits "
            "per value."
        ) from None
    if errors:
        raise ValueError(errors[0])
    stacked = np.stack(pages)
    return stacked if stacked.ndim == 4 else stacked[..., None]


def _ordered(pixels: NDArray[Any], axes: str) -> NDArray[Any]:
    """Reorder axes to [D, H, W, S]."""
    for position in reversed(range(len(axes))):
        if axes[position] not in "YXS" and pixels.shape[position] == 1:
            pixels, axes = pixels.squeeze(position), axes[:position] + axes[position + 1 :]
    if "S" not in axes:
        pixels, axes = pixels[..., None], axes + "S"
    if len(axes) == 3:
        pixels, axes = pixels[None], "Q" + axes
    pages = next(axis for axis in axes if axis not in "YXS")
    return np.transpose(pixels, [axes.index(axis) for axis in (pages, "Y", "X", "S")])


def _turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Rotate [D, H, W, S] by the orientation tag (1 to 8)."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 1, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, :, ::-1]
    return pixels
