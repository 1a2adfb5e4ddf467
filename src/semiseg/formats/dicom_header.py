"""Reading of DICOM headers, and of the slices and segments that they describe."""

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
    """A DICOM-SEG: the UID of its series, and the number and name of each segment.

    ``colours``: name of a segment -> ``#rrggbb``, if the file recommends one.
    """

    path: Path
    series_uid: str
    segments: tuple[tuple[int, str], ...]
    colours: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def quiet(folder: Path) -> Iterator[Any]:
    """Yield pydicom without its warnings, which may contain patients' data from headers.

    Raises:
        UserError: if pydicom is not installed.
    """
    try:
        import pydicom
    except ImportError:
        raise UserError(
            f"{folder} contains DICOM files, for which packages are missing: "
            "run pip install 'semiseg[dicom]'."
        ) from None
    for name in ("pydicom", "highdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pydicom


def read_header(pydicom: Any, path: Path, called: str) -> Any:
    """The header of a file, without its pixels; ``called`` is the file's name in messages.

    Raises:
        UserError: for a damaged file, and for one that is deflated as a whole.
    """
    damaged = UserError(f"{called} cannot be read (damaged): copy it again or leave it out.")
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
    except Exception:  # damaged files can raise any exception
        raise damaged from None
    if meta.get("TransferSyntaxUID") == DEFLATED:
        raise UserError(
            f"{called} is deflated as a whole: rewrite it, for example with dcmconv +te."
        )
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
        for element in header:  # access parses the value
            header[element.tag]
    except Exception:
        raise damaged from None
    if "SOPClassUID" not in header and "MediaStorageSOPClassUID" not in meta:
        raise damaged
    return header


def is_placed(header: Any) -> bool:
    """Whether a header gives the position of its slices in space."""
    return bool(header.get("ImagePositionPatient") and header.get("ImageOrientationPatient")) or (
        "PerFrameFunctionalGroupsSequence" in header
    )


def slices_of(path: Path, header: Any) -> Iterator[Slice]:
    """The slices of one file: one, or the frames of an enhanced object.

    Raises:
        Exception: of various types, if entries are missing or damaged.
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
        raise ValueError(f"not {count} finite numbers")
    return numbers


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


def segmentations_of(path: Path, header: Any) -> list[Segmentation]:
    """The DICOM-SEG of the file, if it refers to a series; else an empty list."""
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
