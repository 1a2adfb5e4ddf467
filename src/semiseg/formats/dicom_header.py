"""The content of DICOM headers: what a file is, and the slices that it describes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.formats.stack import Slice

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
OVERLAYS = [0x6000 + 2 * number << 16 | 0x0010 for number in range(16)]  # OverlayRows of each
TAGS: list[str | int] = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID",
    "FrameOfReferenceUID", "Modality", "ImageType", "InstanceNumber", "Rows", "Columns",
    "SamplesPerPixel", "BitsAllocated", "PixelRepresentation", "PhotometricInterpretation",
    "PixelPaddingValue", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "ModalityLUTSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "BurnedInAnnotation", "ReferencedSeriesSequence", "SourceImageSequence",
    "StudiesContainingOtherReferencedInstancesSequence", "SegmentSequence", "ContentCreatorName",
    "OperatorsName", *OVERLAYS,
]  # fmt: skip
OTHER = {
    "RTSTRUCT": "RT structure sets (contours; convert them to DICOM-SEG to use them as labels)",
    "RTDOSE": "RT dose distributions",
    "RTPLAN": "RT plans",
    "SR": "structured reports",
    "PR": "presentation states",
}
UNITS = ("CT", "PT")  # their intensities are physical, whatever the display
FRAME_TYPES = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence")


class HeaderError(ValueError):
    """A fault of one header, in words that follow "a slice that"."""


def is_segmentation(header: Any) -> bool:
    """Whether a file is a DICOM-SEG, also if its class is blanked."""
    return header.get("SOPClassUID", "") in SEGMENTATIONS or bool(header.get("SegmentSequence"))


def not_an_image(header: Any) -> str | None:
    """What a file is, in the plural, if it is not an image; else None."""
    modality = str(header.get("Modality") or "")
    if modality in OTHER:
        return OTHER[modality]
    if not (header.get("Rows") and header.get("Columns")):
        return "DICOM files that are not images"
    if not header.get("SeriesInstanceUID"):
        return "images without a SeriesInstanceUID"
    return None


def not_a_slice(header: Any) -> str | None:
    """Why an image has no place in a stack of slices, as the plural of its kind; else None."""
    if "LOCALIZER" in (header.get("ImageType") or ()):
        return "localisers"
    palette = str(header.get("PhotometricInterpretation") or "").startswith("PALETTE")
    if palette or int(header.get("SamplesPerPixel") or 1) != 1:
        return "coloured images"
    if not is_placed(header):
        return "images without a position in space"
    return None


def is_placed(header: Any) -> bool:
    """Whether a header gives the position of its slices in space."""
    return bool(header.get("ImagePositionPatient") and header.get("ImageOrientationPatient")) or (
        "PerFrameFunctionalGroupsSequence" in header
    )


def is_inverted(header: Any) -> bool:
    """Whether high values are dark (MONOCHROME1). Physical values (HU, activity) are never inverted."""
    physical = header.get("Modality") in UNITS or header.get("RescaleType") == "HU"
    return header.get("PhotometricInterpretation") == "MONOCHROME1" and not physical


def traits_of(header: Any) -> Iterator[str]:
    """Properties of an image that a user should know, each a sentence about the series that have it."""
    if is_inverted(header):
        yield "series in MONOCHROME1 (high values are dark): their intensities are inverted"
    if header.get("PixelPaddingValue") is not None:
        yield "series with a padding value: padding gets the lowest value of the other voxels"
    if any(tag in header for tag in OVERLAYS):
        yield "series with overlays (graphics or regions), which are not read"
    if header.get("BurnedInAnnotation") == "YES":
        yield "series with text in their pixels, which may name patients and mislead a network"


def slices_of(path: Path, header: Any) -> Iterator[Slice]:
    """The slices of one file: one, or the frames of an enhanced object, without localisers.

    Raises:
        HeaderError: for an entry that is missing or contradicts another.
        Exception: of various types, for damaged entries.
    """
    if "MOSAIC" in (header.get("ImageType") or ()):
        raise HeaderError("is a mosaic of several slices")
    if header.get("ModalityLUTSequence"):
        raise HeaderError("stores its intensities with a Modality LUT")
    frames = header.get("PerFrameFunctionalGroupsSequence")
    count = int(header.get("NumberOfFrames") or 1)
    if frames is None:
        if count > 1:
            raise HeaderError("has several frames without positions")
        yield _slice(path, 0, header, header, header, header, header, header)
        return
    if len(frames) != count:
        raise HeaderError(f"has {count:,} frames but describes {len(frames):,}")
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
    for number, frame in enumerate(frames):

        def group(name: str, frame: Any = frame) -> Any:
            return (frame.get(name) or shared.get(name) or [{}])[0]

        if any("LOCALIZER" in (group(name).get("FrameType") or ()) for name in FRAME_TYPES):
            continue
        yield _slice(
            path, number, header, group("PlanePositionSequence"),
            group("PlaneOrientationSequence"), group("PixelMeasuresSequence"),
            group("PixelValueTransformationSequence"), header,
        )  # fmt: skip


def _slice(
    path: Path, frame: int, header: Any, position: Any, orientation: Any, measures: Any,
    rescale: Any, other: Any,
) -> Slice:  # fmt: skip
    """One slice from the groups that give its entries; ``other`` gives the thickness if they do not."""
    if not measures.get("PixelSpacing"):
        if header.get("ImagerPixelSpacing") or header.get("NominalScannedPixelSpacing"):
            raise HeaderError(
                "gives the spacing at the detector (ImagerPixelSpacing) but no PixelSpacing"
            )
        raise HeaderError("has no PixelSpacing")
    thickness = next(
        (abs(float(value)) for source in (measures, other)
         for key in ("SpacingBetweenSlices", "SliceThickness") if (value := source.get(key))),
        0.0,
    )  # fmt: skip
    slope, intercept = rescale.get("RescaleSlope"), rescale.get("RescaleIntercept")
    rescaled = slope not in (None, "") or intercept not in (None, "")
    (gain,) = _numbers([slope if slope not in (None, "") else 1], 1)
    (offset,) = _numbers([intercept if intercept not in (None, "") else 0], 1)
    if gain == 0:
        raise HeaderError("has a RescaleSlope of 0")
    return Slice(
        path, frame, (int(header.Rows), int(header.Columns)),
        _numbers(position.get("ImagePositionPatient"), 3),
        _numbers(orientation.get("ImageOrientationPatient"), 6),
        _numbers(measures.get("PixelSpacing"), 2), thickness, gain, offset, rescaled,
        str(header.get("SOPInstanceUID") or ""),
    )  # fmt: skip


def _numbers(values: Any, count: int) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"not {count} finite numbers")
    return numbers
