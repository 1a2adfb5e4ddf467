"""Series of DICOM files as volumes (the extra ``dicom``).

Files are grouped by the UID of their series and sorted along its normal; their names do not matter.
Messages contain neither file nor folder names, because these often contain patients' names. A series
is named by a digest of its UID.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.dicom_header import (
    SEGMENTATIONS,
    Segmentation,
    is_placed,
    quiet,
    read_header,
    segmentations_of,
    slices_of,
)
from semiseg.formats.grid import Affine, as_volume
from semiseg.formats.named import suffix_of
from semiseg.formats.sizes import check_announced
from semiseg.formats.stack import Slice, Stack, stacked

MAGIC = b"DICM"  # after 128 bytes of any content
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclasses.dataclass(frozen=True)
class Series:
    """A series as one volume: its files, the order of its slices, and its grid.

    Attributes:
        name: ``series-1a2b3c4d``, the start of the SHA-256 of its UID.
        uid: the SeriesInstanceUID.
        patient: key that is equal for series of one patient; never shown.
        folder: the folder of its files; never shown.
        stack: its slices.
    """

    name: str
    uid: str
    patient: str
    folder: Path
    stack: Stack

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of its slices, without duplicates."""
        return tuple(dict.fromkeys(one.path for one in self.stack.slices))

    @property
    def affine(self) -> Affine:
        """Voxel (column, row, slice) to RAS in mm."""
        return LPS_TO_RAS @ self.stack.affine


@dataclasses.dataclass(frozen=True)
class Found:
    """The content of a folder: series, segmentations, and notes about files that were ignored."""

    series: tuple[Series, ...]
    segmentations: tuple[Segmentation, ...]
    notes: tuple[str, ...]


def holds_dicom(folder: Path) -> bool:
    """Whether any file below ``folder`` is DICOM."""
    return any(is_dicom(path) for path in _files(folder))


def is_dicom(path: Path) -> bool:
    """Whether a file has the DICOM prefix."""
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == MAGIC
    except OSError:
        return False


def series_name(uid: str) -> str:
    """``series-`` and the first 8 hexadecimal digits of the SHA-256 of a SeriesInstanceUID."""
    return f"series-{hashlib.sha256(uid.encode()).hexdigest()[:8]}"


def series_below(folder: Path) -> Found:
    """All series below ``folder``; reads headers only.

    Localisers, coloured series and series without positions are left out with a note.

    Raises:
        UserError: for a damaged file, slices that do not form a volume, or if pydicom is missing.
    """
    groups: dict[str, list[tuple[Path, Any]]] = {}
    segmentations, other = [], 0
    paths = [path for path in _files(folder) if is_dicom(path)]
    with quiet(folder) as pydicom:
        for number, path in enumerate(paths, 1):
            header = read_header(pydicom, path, f"{folder}: DICOM file {number} of {len(paths)}")
            kind, uid = header.get("SOPClassUID", ""), header.get("SeriesInstanceUID")
            if kind in SEGMENTATIONS:
                segmentations += segmentations_of(path, header)
            elif uid and header.get("Rows") and header.get("Columns"):
                groups.setdefault(str(uid), []).append((path, header))
            else:
                other += 1
        localisers, series, no_stack = 0, [], 0
        for uid, files in groups.items():
            if any("LOCALIZER" in (header.get("ImageType") or ()) for _, header in files):
                localisers += 1
            elif any(header.get("SamplesPerPixel", 1) != 1 or not is_placed(header)
                     for _, header in files):  # fmt: skip
                no_stack += 1
            else:
                series.append(_series(uid, files))
    stacks = [one for one in series if len(one.stack.slices) > 1]
    if stacks and len(stacks) < len(series):
        localisers += len(series) - len(stacks)
        series = stacks
    counts = (
        (localisers, "localisers (or single slices among series of several slices)"),
        (no_stack, "series that are coloured or have no position in space"),
        (other, "DICOM files that are not images"),
    )
    notes = [f"left out: {count:,} {what}." for count, what in counts if count]
    notes += [note for one in series for note in one.stack.notes]
    return Found(
        tuple(sorted(series, key=lambda one: one.name)), tuple(segmentations), tuple(notes)
    )


def read_series(series: Series) -> Volume:
    """The voxels of a series with its geometry, rescaled (to HU for CT).

    Returns:
        image [D, 1, H, W], made by :func:`semiseg.formats.grid.as_volume` from the axes
        (column, row, slice), which SimpleITK and common converters to NIfTI use too.

    Raises:
        UserError: for pixels that are missing, damaged, or in a compression unknown to pydicom.
    """
    slices = series.stack.slices
    planes: list[NDArray[Any] | None] = [None] * len(slices)
    with quiet(series.folder) as pydicom:
        for path in dict.fromkeys(one.path for one in slices):
            frames = _pixels(pydicom, path, series.name)
            for place, one in enumerate(slices):
                if one.path == path:
                    planes[place] = _rescaled(_frame(frames, one, series.name), one)
    data = np.stack([plane for plane in planes if plane is not None]).transpose(2, 1, 0)
    return as_volume(data, series.affine, Path(series.name))


def _files(folder: Path) -> Iterator[Path]:
    """Files below ``folder``, sorted, without those that have the suffix of another format."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            other = suffix_of(Path(name)) or name.upper() == "DICOMDIR"
            if not (name.startswith(".") or other):
                yield Path(root, name)


def _series(uid: str, files: Sequence[tuple[Path, Any]]) -> Series:
    """A series of its files and headers; raises UserError if the slices do not form a volume."""
    name = series_name(uid)
    slices: dict[tuple[str, int], Slice] = {}
    for path, header in files:
        try:
            for one in slices_of(path, header):
                slices.setdefault((str(header.get("SOPInstanceUID", path)), one.frame), one)
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError):
            raise UserError(
                f"{name} has a slice (instance number {header.get('InstanceNumber', 'unknown')}) "
                "whose position, orientation or spacing is missing or damaged: export it again."
            ) from None
        if "ModalityLUTSequence" in header:
            raise UserError(
                f"{name} stores its intensities with a Modality LUT: export it rescaled."
            )
    header = files[0][1]
    patient = str(header.get("PatientID") or "").strip()
    study = str(header.get("StudyInstanceUID") or uid)
    folder = Path(os.path.commonpath([path.parent for path, _ in files]))
    return Series(
        name, uid, f"patient {patient}" if patient else f"study {study}", folder,
        stacked(list(slices.values()), name),
    )  # fmt: skip


def _pixels(pydicom: Any, path: Path, name: str) -> NDArray[Any]:
    """[frames, rows, columns] of one file, as stored."""
    syntax, compressed = "unknown", False
    try:
        data = pydicom.dcmread(path)
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
    try:
        pixels = np.asarray(data.pixel_array)
    except Exception:
        if compressed:
            raise UserError(
                f"{name} is compressed as '{syntax}', which pydicom cannot read without a plugin: "
                "run pip install 'pylibjpeg[all]', or decompress it with gdcmconv --raw."
            ) from None
        raise _unreadable(name) from None
    return pixels.reshape(-1, *pixels.shape[-2:])


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
