"""The voxels of DICOM series, as intensities (through pydicom, the extra ``dicom``)."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.dicom import Series
from semiseg.formats.dicom_files import quiet
from semiseg.formats.dicom_header import is_inverted
from semiseg.formats.grid import as_volume
from semiseg.formats.sizes import check_announced
from semiseg.formats.stack import Slice
from semiseg.formats.uneven import interpolated

PADDING = "padding within the intensities"  # a remark about a series


@dataclasses.dataclass(frozen=True)
class _Frames:
    """Stored values [frames, rows, columns], and where they are padding (None: nowhere)."""

    values: NDArray[Any]
    padding: NDArray[np.bool_] | None


def read_series(series: Series) -> Volume:
    """The voxels of a series with its geometry, rescaled (to HU for CT).

    Each slice has its own RescaleSlope and RescaleIntercept. MONOCHROME1 without a physical unit is
    inverted. Padding (PixelPaddingValue) gets the lowest of the other intensities of the series, unless
    its value is between theirs, which the remark ``PADDING`` says. Uneven slices are interpolated
    linearly.

    Returns:
        image [D, 1, H, W], made by :func:`semiseg.formats.grid.as_volume` from the axes
        (column, row, slice), which SimpleITK and common converters to NIfTI use too.

    Raises:
        UserError: for pixels that are missing, damaged, or in a compression unknown to pydicom.
    """
    slices = series.stack.slices
    planes: list[NDArray[Any]] = [np.empty(0)] * len(slices)
    padding = np.zeros((len(slices), *slices[0].size), bool)
    with quiet(series.folder) as pydicom:
        for path in series.files:
            frames = _read(pydicom, path, series.name)
            for place, one in enumerate(slices):
                if one.path == path:
                    planes[place] = _rescaled(_frame(frames.values, one, series.name), one)
                    if frames.padding is not None:
                        padding[place] = frames.padding[one.frame]
    data = np.stack(planes)
    remarks = {} if _fill(data, padding) else {PADDING: series.name}
    if not series.stack.even:
        data = interpolated(data, series.stack.places).astype(np.float32)
    volume = as_volume(data.transpose(2, 1, 0), series.affine, Path(series.name))
    return dataclasses.replace(volume, remarks=remarks)


def _fill(data: NDArray[Any], padding: NDArray[np.bool_]) -> bool:
    """Replace padding by the lowest other intensity, in place; False if its value is between others."""
    if not padding.any() or padding.all():
        return True
    padded, others = data[padding], data[~padding]
    low, high = others.min(), others.max()
    if not (padded.max() <= low or padded.min() >= high):
        return False
    data[padding] = low
    return True


def _read(pydicom: Any, path: Path, name: str) -> _Frames:
    """The stored values of one file."""
    syntax, compressed = "unknown", False
    try:
        data = pydicom.dcmread(path, force=True)
        _assume_syntax(pydicom, data)
        syntax = data.file_meta.TransferSyntaxUID.name
        compressed = data.file_meta.TransferSyntaxUID.is_compressed
        frames = int(data.get("NumberOfFrames") or 1)
        shape, itemsize = (frames, data.Rows, data.Columns), max(data.BitsAllocated // 8, 1)
    except Exception:  # damaged files can raise any exception
        raise _unreadable(name) from None
    try:
        check_announced(path, shape, itemsize, compressed=True)
    except UserError:  # its message contains the file's name
        raise _unreadable(name) from None
    stored = data.get("BitsStored")
    if stored and data.get("HighBit", stored - 1) != stored - 1:
        raise UserError(
            f"{name} has pixels whose HighBit is {data.HighBit} with {stored} bits stored: convert it, "
            "for example with gdcmconv --raw."
        )
    try:
        pixels = np.asarray(data.pixel_array)
    except Exception:
        if compressed:
            raise UserError(
                f"{name} is compressed as '{syntax}', which pydicom cannot read without a plugin: "
                "run pip install 'pylibjpeg[all]', or decompress it with gdcmconv --raw."
            ) from None
        raise _unreadable(name) from None
    try:
        pixels = pixels.reshape(-1, *pixels.shape[-2:])
        padding = _padding(pixels, data)
        return _Frames(_inverted(pixels, data) if is_inverted(data) else pixels, padding)
    except (TypeError, ValueError, AttributeError, OverflowError):  # damaged entries
        raise _unreadable(name) from None


def _assume_syntax(pydicom: Any, data: Any) -> None:
    """Give files without the meta header, which are not compressed, the syntax they were parsed with."""
    if data.file_meta.get("TransferSyntaxUID"):
        return
    implicit, little = data.original_encoding
    if not little:
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    elif implicit:
        data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    else:
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian


def _padding(pixels: NDArray[Any], data: Any) -> NDArray[np.bool_] | None:
    """Where stored values are PixelPaddingValue, or between it and PixelPaddingRangeLimit."""
    value = data.get("PixelPaddingValue")
    if value is None or pixels.dtype.kind not in "iu":
        return None
    limit = data.get("PixelPaddingRangeLimit")
    ends = [_as_stored(end, pixels.dtype) for end in (value, value if limit is None else limit)]
    found: NDArray[np.bool_] = (pixels >= min(ends)) & (pixels <= max(ends))
    return found if found.any() else None


def _as_stored(value: Any, dtype: np.dtype[Any]) -> int:
    """A padding value with the sign of the pixels: some writers store -2000 as 63536."""
    number, bits = int(value), 8 * dtype.itemsize
    if dtype.kind == "i" and number >= 1 << (bits - 1):
        return number - (1 << bits)
    if dtype.kind == "u" and number < 0:
        return number + (1 << bits)
    return number


def _inverted(pixels: NDArray[Any], data: Any) -> NDArray[Any]:
    """Values with the order of MONOCHROME2, within the range of the bits stored."""
    if pixels.dtype.kind == "f":
        return -pixels
    total = -1 if data.get("PixelRepresentation") else (1 << int(data.BitsStored)) - 1
    return (total - pixels.astype(np.int64)).astype(pixels.dtype)


def _unreadable(name: str) -> UserError:
    return UserError(
        f"{name} has pixels that cannot be read (truncated or damaged): export it again."
    )


def _frame(frames: NDArray[Any], one: Slice, name: str) -> NDArray[Any]:
    if one.frame >= len(frames) or frames.shape[1:] != one.size:
        raise _unreadable(name)
    frame: NDArray[Any] = frames[one.frame]
    return frame


def _rescaled(plane: NDArray[Any], one: Slice) -> NDArray[Any]:
    if (one.slope, one.intercept) == (1.0, 0.0):
        return plane
    return (plane * np.float64(one.slope) + one.intercept).astype(np.float32)
