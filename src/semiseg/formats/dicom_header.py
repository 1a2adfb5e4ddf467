"""Headers of DICOM files: read without pixels, and what they say of slices and segments."""

import contextlib
import dataclasses
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.errors import UserError
from semiseg.formats.stack import Slice

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
DEFLATED = "1.2.840.10008.1.2.1.99"
TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID",
    "ImageType", "InstanceNumber", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated",
    "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept",
    "ModalityLUTSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "ReferencedSeriesSequence", "SegmentSequence",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """A DICOM-SEG: the series it is of, and its segments' names by number.

    ``colours``: segment's name -> ``#rrggbb``, where the file recommends one.
    """

    path: Path
    series_uid: str
    segments: tuple[tuple[int, str], ...]
    colours: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def quiet(folder: Path) -> Iterator[Any]:
    """pydicom, which must not repeat values of headers in warnings.

    Raises:
        UserError: where it is not installed.
    """
    try:
        import pydicom
    except ImportError:
        raise UserError(
            f"{folder} holds DICOM files, for which packages are missing: "
            "pip install 'semiseg[dicom]'."
        ) from None
    for name in ("pydicom", "highdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pydicom


def read_header(pydicom: Any, path: Path, called: str) -> Any:
    """The header of a file without its pixels; ``called`` is what people are told of the file.

    Raises:
        UserError: for a damaged file, and one that is deflated as a whole.
    """
    damaged = UserError(f"{called} cannot be read (damaged): copy it again or leave it out.")
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
    except Exception:  # a parser of foreign files fails in any way
        raise damaged from None
    if meta.get("TransferSyntaxUID") == DEFLATED:
        raise UserError(
            f"{called} is deflated as a whole: rewrite it, for example with dcmconv +te."
        )
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
        for element in header:  # values are parsed when they are asked for
            header[element.tag]
    except Exception:
        raise damaged from None
    if "SOPClassUID" not in header and "MediaStorageSOPClassUID" not in meta:
        raise damaged
    return header


def is_placed(header: Any) -> bool:
    """Whether a header says where its slices lie in space."""
    return bool(header.get("ImagePositionPatient") and header.get("ImageOrientationPatient")) or (
        "PerFrameFunctionalGroupsSequence" in header
    )


def slices_of(path: Path, header: Any) -> Iterator[Slice]:
    """The slices that one file holds: one, or the frames of an enhanced object.

    Raises:
        Exception: of many kinds, where entries are missing or damaged.
    """
    frames = header.get("PerFrameFunctionalGroupsSequence")
    size = (int(header.Rows), int(header.Columns))
    thick = header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 1.0
    if frames is None:
        if int(header.get("NumberOfFrames") or 1) > 1:
            raise ValueError("frames without positions")
        yield Slice(
            path, 0, size,
            _numbers(header.ImagePositionPatient, 3), _numbers(header.ImageOrientationPatient, 6),
            _numbers(header.PixelSpacing, 2), float(thick),
            float(header.get("RescaleSlope", 1) or 1), float(header.get("RescaleIntercept", 0) or 0),
        )  # fmt: skip
        return
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
    for number, frame in enumerate(frames):

        def group(name: str, frame: Any = frame) -> Any:
            return (frame.get(name) or shared.get(name) or [{}])[0]

        measures, rescale = (
            group("PixelMeasuresSequence"),
            group("PixelValueTransformationSequence"),
        )
        thickness = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or thick
        yield Slice(
            path, number, size,
            _numbers(group("PlanePositionSequence").ImagePositionPatient, 3),
            _numbers(group("PlaneOrientationSequence").ImageOrientationPatient, 6),
            _numbers(measures.PixelSpacing, 2), float(thickness),
            float(rescale.get("RescaleSlope", 1) or 1),
            float(rescale.get("RescaleIntercept", 0) or 0),
        )  # fmt: skip


def _numbers(values: Any, count: int) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError("not the numbers that are meant")
    return numbers


def _name_of(segment: Any) -> str:
    return str(segment.get("SegmentLabel") or "").strip() or f"segment {segment.SegmentNumber}"


def _colour_of(segment: Any) -> str | None:
    """``#rrggbb`` of what a segment recommends to be shown in."""
    value = segment.get("RecommendedDisplayCIELabValue")
    if value is None:
        return None
    try:
        from highdicom.color import CIELabColor

        red, green, blue = CIELabColor.from_dicom_value(tuple(map(int, value))).to_rgb()
    except Exception:  # an older highdicom, or nonsense: nothing depends on a colour
        return None
    return f"#{red:02x}{green:02x}{blue:02x}"


def segmentations_of(path: Path, header: Any) -> list[Segmentation]:
    """The DICOM-SEG of the file, where it says of which series it is."""
    segments = header.get("SegmentSequence") or ()
    return [
        Segmentation(
            path,
            str(reference.get("SeriesInstanceUID", "")),
            tuple((int(one.SegmentNumber), _name_of(one)) for one in segments),
            tuple((_name_of(one), colour) for one in segments if (colour := _colour_of(one))),
        )
        for reference in (header.get("ReferencedSeriesSequence") or ())[:1]
    ]
