"""Series of DICOM files (the extra ``dicom``): their files, their order and their grids.

Files are grouped by the UID of their series and sorted along its normal; their names do not matter.
Messages contain neither file nor folder names, because these often contain patients' names. A series
is named by a digest of its UID.
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg.digests import text_digest
from semiseg.errors import UserError
from semiseg.formats.dicom_files import dicom_files, quiet, read_header
from semiseg.formats.dicom_header import (
    TAGS,
    HeaderError,
    is_segmentation,
    not_a_slice,
    not_an_image,
    slices_of,
    traits_of,
)
from semiseg.formats.dicom_segments import Segmentation, read_segmentation_header
from semiseg.formats.grid import Affine
from semiseg.formats.stack import Slice, Stack, Uneven, left_out_note, stacked
from semiseg.text import plural

LPS_TO_RAS = (-1.0, -1.0, 1.0, 1.0)
ALONE = "single slices beside series of several slices"


@dataclasses.dataclass(frozen=True)
class Origin:
    """The names and places of a series, which are never shown except for ``name``.

    Attributes:
        name: ``series-1a2b3c4d``, the start of the SHA-256 of its UID.
        uid: the SeriesInstanceUID.
        patient: the PatientID; empty if there is none.
        study: the StudyInstanceUID; the UID of the series if there is none.
        folder: the folder of its files.
        paths: its files.
    """

    name: str
    uid: str
    patient: str
    study: str
    folder: Path
    paths: tuple[Path, ...]


@dataclasses.dataclass(frozen=True)
class Series:
    """A series as one volume: its files, the order of its slices, and its grid.

    ``frame_of_reference`` is the UID of its coordinate system; empty if it has none.
    """

    origin: Origin
    stack: Stack
    frame_of_reference: str = ""

    @property
    def name(self) -> str:
        """``series-1a2b3c4d``."""
        return self.origin.name

    @property
    def uid(self) -> str:
        """The SeriesInstanceUID."""
        return self.origin.uid

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return self.origin.folder

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of its slices, without duplicates."""
        return tuple(dict.fromkeys(one.path for one in self.stack.slices))

    @property
    def instances(self) -> frozenset[str]:
        """The SOPInstanceUIDs of its slices."""
        return frozenset(one.uid for one in self.stack.slices if one.uid)

    @property
    def affine(self) -> Affine:
        """Voxel (column, row, slice) to RAS in mm."""
        affine: Affine = self.stack.affine * [[sign] for sign in LPS_TO_RAS]
        return affine


@dataclasses.dataclass(frozen=True)
class Refused:
    """A series that does not form a volume, or a file that cannot be read, and the reason."""

    name: str
    why: UserError
    origin: Origin | None = None


@dataclasses.dataclass(frozen=True)
class Found:
    """The content of a folder.

    Attributes:
        series: series that form volumes, in the order of their names.
        segmentations: all DICOM-SEG.
        notes: sentences about what was left out, and about properties of the series.
        refused: series that do not form a volume, and files and folders that cannot be read.
    """

    series: tuple[Series, ...]
    segmentations: tuple[Segmentation, ...]
    notes: tuple[str, ...]
    refused: tuple[Refused, ...] = ()

    def reasons(self) -> str:
        """Why no series was found, as sentences."""
        return " ".join([*(str(one.why) for one in self.refused), *self.notes])


def series_name(uid: str) -> str:
    """``series-`` and the first 8 hexadecimal digits of the SHA-256 of a SeriesInstanceUID."""
    return f"series-{text_digest(uid, 8)}"


def series_below(folder: Path, uneven: Uneven = "refuse") -> Found:
    """All series below ``folder``; reads headers only.

    Localisers, coloured images and images without positions are left out with a note; the other slices
    of their series are kept.

    Raises:
        UserError: if pydicom is missing.
    """
    files = dicom_files(folder)
    groups: dict[str, list[tuple[Path, Any]]] = {}
    segmentations: list[Segmentation] = []
    refused = _closed(folder, files.folders, files.locked)
    left_out: Counter[str] = Counter()
    with quiet(folder) as pydicom:
        for number, path in enumerate(files.paths, 1):
            called = f"{folder}: DICOM file {number} of {len(files.paths)}"
            try:
                header = read_header(pydicom, path, called, TAGS)
                if is_segmentation(header):
                    segmentations.append(read_segmentation_header(pydicom, path, header, called))
                    continue
            except UserError as error:
                refused.append(Refused(f"unreadable-{number}", error))
                continue
            kind = not_an_image(header)
            if kind is not None:
                left_out[kind] += 1
            else:
                groups.setdefault(str(header.SeriesInstanceUID), []).append((path, header))
        series: list[Series] = []
        traits: Counter[str] = Counter()
        for uid, members in groups.items():
            kept = [(path, header) for path, header in members if not_a_slice(header) is None]
            left_out.update(_reasons(members, whole=not kept))
            if kept:
                origin = _origin(uid, kept)
                try:
                    series.append(_series(origin, kept, uneven))
                except UserError as error:
                    refused.append(Refused(origin.name, error, origin))
                    continue
                traits.update({trait for _, header in kept for trait in traits_of(header)})
    series, alone = _without_single_slices(series, segmentations, bool(refused))
    left_out[ALONE] += alone
    notes = [f"left out: {what} ({count:,})." for what, count in left_out.items() if count]
    notes += left_out_note([one.stack for one in series])
    notes += [f"{trait} ({count:,})." for trait, count in sorted(traits.items())]
    notes += [note for one in series for note in one.stack.notes]
    return Found(
        tuple(sorted(series, key=lambda one: one.name)), tuple(segmentations), tuple(notes),
        tuple(refused),
    )  # fmt: skip


def _closed(folder: Path, folders: int, locked: int) -> list[Refused]:
    """Folders and files that may not be read; their names are not shown."""
    counts = ((folders, "folder"), (locked, "file"))
    return [
        Refused(
            f"unreadable-{what}s",
            UserError(
                f"{folder}: {plural(count, what)} below it cannot be opened (no permission): allow "
                "reading, or move what must stay unread out of the folder."
            ),
        )
        for count, what in counts
        if count
    ]


def _reasons(members: Sequence[tuple[Path, Any]], whole: bool) -> Counter[str]:
    """What is left out of a series, by kind: the series as a ``whole``, or images of it."""
    kinds = Counter(kind for _, header in members if (kind := not_a_slice(header)) is not None)
    if not whole:
        return Counter({f"{kind} within a series of slices": n for kind, n in kinds.items()})
    return Counter({f"series of {kinds.most_common(1)[0][0]}": 1})


def _without_single_slices(
    series: list[Series], segmentations: Sequence[Segmentation], refused: bool
) -> tuple[list[Series], int]:
    """Leave out single slices beside stacks, unless they have a label; also their number."""
    stacks = [one for one in series if len(one.stack.slices) > 1]
    if not (stacks or refused):
        return series, 0
    labelled = {uid for one in segmentations for uid in one.referenced}
    kept = [one for one in series if len(one.stack.slices) > 1 or one.uid in labelled]
    return kept, len(series) - len(kept)


def _origin(uid: str, files: Sequence[tuple[Path, Any]]) -> Origin:
    header = files[0][1]
    return Origin(
        series_name(uid), uid, _text(header, "PatientID"), _text(header, "StudyInstanceUID") or uid,
        Path(os.path.commonpath([path.parent for path, _ in files])),
        tuple(path for path, _ in files),
    )  # fmt: skip


def _text(header: Any, key: str) -> str:
    return str(header.get(key) or "").strip()


def _series(origin: Origin, files: Sequence[tuple[Path, Any]], uneven: Uneven) -> Series:
    """A series of its files and headers; raises UserError if the slices do not form a volume."""
    name = origin.name
    for key, what in (("PatientID", "patients"), ("StudyInstanceUID", "studies")):
        several = len({_text(header, key) for _, header in files})
        if several > 1:
            raise UserError(
                f"{name} holds files of {several} {what} (its SeriesInstanceUID was overwritten): "
                "anonymise it again with one UID per series."
            )
    slices: dict[tuple[object, ...], Slice] = {}
    for path, header in files:
        number = header.get("InstanceNumber", "unknown")
        try:
            for one in slices_of(path, header):
                # copies of a file count once; UIDs that were overwritten do not make copies
                slices.setdefault((one.uid or path, one.frame, one.position, one.orientation), one)
        except HeaderError as flaw:
            raise UserError(
                f"{name} has a slice (instance number {number}) that {flaw}: export it again."
            ) from None
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError):
            raise UserError(
                f"{name} has a slice (instance number {number}) whose position, orientation or spacing "
                "is missing or damaged: export it again."
            ) from None
    if not slices:
        raise UserError(f"{name} has only frames of a localiser: leave it out.")
    stack = stacked(list(slices.values()), name, uneven)
    return Series(origin, stack, _text(files[0][1], "FrameOfReferenceUID"))
