"""The headers of DICOM-SEG: their segments, and the series that they refer to."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.errors import UserError

LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"


@dataclasses.dataclass(frozen=True)
class Plane:
    """The place of a frame: LPS in mm, as in :class:`semiseg.formats.stack.Slice`."""

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """A DICOM-SEG.

    Attributes:
        path: its file.
        referenced: the SeriesInstanceUIDs to which it refers.
        instances: the SOPInstanceUIDs of the images that it was derived from.
        frame_of_reference: the UID of its coordinate system; empty if it has none.
        segments: number and name of each segment that has frames.
        undrawn: names of the other segments.
        colours: name of a segment and ``#rrggbb``, if the file recommends one.
        readers: names of the persons who drew it; never shown.
        planes: the places of its frames.
    """

    path: Path
    referenced: tuple[str, ...]
    instances: frozenset[str]
    frame_of_reference: str
    segments: tuple[tuple[int, str], ...]
    undrawn: tuple[str, ...]
    colours: tuple[tuple[str, str], ...]
    readers: tuple[str, ...]
    planes: tuple[Plane, ...]


def read_segmentation_header(pydicom: Any, path: Path, header: Any, called: str) -> Segmentation:
    """The segmentation that a header describes.

    Raises:
        UserError: for a damaged header; ``called`` is the file's name in messages.
    """
    try:
        numbers = _drawn(pydicom, path, header)
        named = [(int(one.SegmentNumber), _name_of(one)) for one in header.SegmentSequence]
        planes = tuple(_planes(header))
        references = dict.fromkeys(_references(header))
        instances = frozenset(_instances(header))
        readers = tuple(dict.fromkeys(_readers(header)))
    except Exception:  # damaged files can raise any exception
        raise UserError(
            f"{called} is a DICOM-SEG whose header cannot be read (damaged): export it again."
        ) from None
    return Segmentation(
        path=path,
        referenced=tuple(references),
        instances=instances,
        frame_of_reference=str(header.get("FrameOfReferenceUID") or ""),
        segments=tuple((number, name) for number, name in named if number in numbers),
        undrawn=tuple(name for number, name in named if number not in numbers),
        colours=tuple(
            (_name_of(one), colour)
            for one in header.SegmentSequence
            if (colour := _colour_of(one))
        ),
        readers=readers,
        planes=planes,
    )  # fmt: skip


def is_drawn_by(segmentation: Segmentation, reader: str) -> bool:
    """Whether one of its readers has this name: the whole name, or words of it, in any order."""
    wanted = _words(reader)
    return bool(wanted) and any(wanted <= _words(name) for name in segmentation.readers)


def _words(name: str) -> set[str]:
    return set(name.casefold().replace("^", " ").replace("=", " ").replace(",", " ").split())


def _frames(header: Any) -> Sequence[Any]:
    found: Sequence[Any] = header.get("PerFrameFunctionalGroupsSequence") or ()
    return found


def _shared(header: Any) -> Any:
    return (header.get("SharedFunctionalGroupsSequence") or [{}])[0]


def _drawn(pydicom: Any, path: Path, header: Any) -> set[int]:
    """Numbers of the segments that have frames (in a label map: voxels)."""
    if header.get("SOPClassUID") == LABELMAP:
        return {int(value) for value in np.unique(pydicom.dcmread(path).pixel_array)}
    shared = _shared(header)
    groups = [
        frame.get("SegmentIdentificationSequence") or shared.get("SegmentIdentificationSequence")
        for frame in _frames(header)
    ]
    return {int(group[0].ReferencedSegmentNumber) for group in groups if group}


def _references(header: Any) -> Iterator[str]:
    """SeriesInstanceUIDs in its own study and in others."""
    studies = header.get("StudiesContainingOtherReferencedInstancesSequence") or ()
    for holder in (header, *studies):
        for one in holder.get("ReferencedSeriesSequence") or ():
            if one.get("SeriesInstanceUID"):
                yield str(one.SeriesInstanceUID)


def _instances(header: Any) -> Iterator[str]:
    """SOPInstanceUIDs of source images, of the file and of its frames."""
    groups = [header, *(one for one in header.get("ReferencedSeriesSequence") or ())]
    for frame in (_shared(header), *_frames(header)):
        groups += list(frame.get("DerivationImageSequence") or ())
    for group in groups:
        for key in ("SourceImageSequence", "ReferencedInstanceSequence"):
            for one in group.get(key) or ():
                if one.get("ReferencedSOPInstanceUID"):
                    yield str(one.ReferencedSOPInstanceUID)


def _planes(header: Any) -> Iterator[Plane]:
    """The places of the frames that give all of them."""
    shared = _shared(header)
    for frame in _frames(header):

        def entry(group: str, key: str, frame: Any = frame) -> tuple[float, ...]:
            found = (frame.get(group) or shared.get(group) or [{}])[0].get(key) or ()
            return tuple(float(value) for value in found)

        plane = Plane(
            entry("PlanePositionSequence", "ImagePositionPatient"),
            entry("PlaneOrientationSequence", "ImageOrientationPatient"),
            entry("PixelMeasuresSequence", "PixelSpacing"),
        )
        if (len(plane.position), len(plane.orientation), len(plane.spacing)) == (3, 6, 2):
            yield plane


def _readers(header: Any) -> Iterator[str]:
    """ContentCreatorName, or else OperatorsName."""
    for key in ("ContentCreatorName", "OperatorsName"):
        value = header.get(key)
        names = [value] if value is None or isinstance(value, str) else value
        if hasattr(value, "components"):  # a single PersonName
            names = [value]
        found = [str(name).strip() for name in names if name is not None and str(name).strip()]
        if found:
            yield from found
            return


def _name_of(segment: Any) -> str:
    return str(segment.get("SegmentLabel") or "").strip() or f"segment {segment.SegmentNumber}"


def _colour_of(segment: Any) -> str | None:
    """The recommended display colour of a segment as ``#rrggbb``."""
    value = segment.get("RecommendedDisplayCIELabValue")
    if value is None:
        return None
    try:
        from highdicom.color import CIELabColor

        red, green, blue = CIELabColor.from_dicom_value(tuple(map(int, value))).to_rgb()
    except Exception:  # an older highdicom or an invalid value: the colour is optional
        return None
    return f"#{red:02x}{green:02x}{blue:02x}"
