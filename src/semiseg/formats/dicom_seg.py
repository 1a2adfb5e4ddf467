"""Reading of DICOM-SEG, segmentations of a series, through highdicom (the extra ``dicom``)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.dicom import Series
from semiseg.formats.dicom_files import quiet
from semiseg.formats.dicom_header import SEGMENTATIONS
from semiseg.formats.dicom_match import Frames, frames_of, place_of, slice_at
from semiseg.formats.dicom_segments import Segmentation
from semiseg.formats.grid import GRID_TOLERANCE, onto_grid
from semiseg.formats.uneven import nearest
from semiseg.text import plural

Codes = NDArray[np.integer[Any]]


def read_segmentations(
    segmentations: Sequence[Segmentation], codes: Mapping[str, int], series: Series, like: Volume
) -> NDArray[np.uint8]:
    """The label of a series from its segmentations, with the slices of ``like``: [D, H, W].

    Args:
        segmentations: segmentations of the series; each may contain some of the classes.
        codes: name of a segment -> class code; other segments are background.
        series: their series.
        like: the image of the series.

    Raises:
        UserError: for a damaged file, fractional segments, another grid than that of the series,
            overlapping segments, or segmentations that draw a class differently, or if highdicom is
            missing.
    """
    with quiet(series.folder) as pydicom:
        try:
            from highdicom.seg import Segmentation as Seg
        except ImportError:
            raise UserError(
                f"{series.name} has a DICOM-SEG, for which highdicom is missing: "
                "run pip install 'semiseg[dicom]'."
            ) from None
        height, width = series.stack.slices[0].size
        places = _places(segmentations, series)
        label = np.zeros((width, height, len(places)), np.uint8)
        drawn: set[int] = set()
        for segmentation in segmentations:
            found = _codes_in(pydicom, Seg, segmentation, codes, series, places)
            for code in {codes[name] for _, name in segmentation.segments if name in codes}:
                part = found == code
                if code in drawn and (part != (label == code)).any():
                    raise _contradiction(segmentations, codes, code, series)
                if ((label[part] != 0) & (label[part] != code)).any():
                    raise _overlapping(series, segmentations)
                label[part] = code
                drawn.add(code)
    stacked = label.transpose(2, 0, 1)
    if not series.stack.even:
        stacked = nearest(stacked, places)
    return np.ascontiguousarray(np.moveaxis(np.moveaxis(stacked, 0, 2), like.slice_axis, 0))


def _places(segmentations: Sequence[Segmentation], series: Series) -> tuple[float, ...]:
    """The places of the label's slices on the grid, in voxels.

    They are those of the series. A resampled series also has the frames between its slices, where
    slices are missing.
    """
    own = series.stack.places
    if series.stack.even:
        return own
    between = {
        place
        for one in segmentations
        for place in (frames_of(one, series) or Frames(0, ())).beside
        if own[0] < place < own[-1]
    }
    return tuple(sorted([*own, *_apart(sorted(between))]))


def _apart(rising: Sequence[float]) -> list[float]:
    """Places without those of the slice before, as several files give them."""
    return [
        place for n, place in enumerate(rising) if not n or place - rising[n - 1] > GRID_TOLERANCE
    ]


def _codes_in(
    pydicom: Any,
    seg: Any,
    segmentation: Segmentation,
    codes: Mapping[str, int],
    series: Series,
    places: Sequence[float],
) -> NDArray[np.uint8]:
    """Class codes of one file on slices at ``places`` of the series' grid: [column, row, slice]."""
    height, width = series.stack.slices[0].size
    shape = width, height, len(places)
    table = np.zeros(max([0, *(number for number, _ in segmentation.segments)]) + 1, np.uint8)
    for number, name in segmentation.segments:
        table[number] = codes.get(name, 0)
    try:
        found = seg.from_dataset(_dataset(pydicom, segmentation.path), copy=False)
        if found.SegmentationType == "FRACTIONAL":
            raise UserError(
                f"The DICOM-SEG of {series.name} is fractional: save it as binary masks."
            )
        wanted = {number for number, name in segmentation.segments if name in codes}
        _check_slices(segmentation, series)
        placed = _by_frame(pydicom, found, segmentation, wanted, series, places)
        if placed is None and series.stack.even:  # frames across the slices
            volume = found.get_volume(combine_segments=True)
            numbers, affine = np.asarray(volume.array), np.asarray(volume.affine, np.float64)
            placed = onto_grid(numbers, affine, series.stack.affine, shape)
        if placed is None:
            raise UserError(
                f"The DICOM-SEG of {series.name} is not on the grid of the series: "
                "resample it to the series."
            )
        result: NDArray[np.uint8] = table[placed]
    except UserError:
        raise
    except Exception as error:  # damaged files can raise any exception
        if "overlap" in str(error).lower():
            raise _overlapping(series) from None
        raise UserError(
            f"The DICOM-SEG of {series.name} cannot be read (damaged, or its slices are uneven): "
            "export it again."
        ) from None
    return result


def _check_slices(segmentation: Segmentation, series: Series) -> None:
    """Check that most frames lie on slices of the series, if they are parallel to them.

    Raises:
        UserError: if not: the segmentation is of other slices.
    """
    frames = frames_of(segmentation, series)
    if frames is not None and frames.beside and not frames.fit:
        count = frames.on_slices + len(frames.beside)
        raise UserError(
            f"The DICOM-SEG of {series.name} marks {len(frames.beside):,} of {plural(count, 'slice')} where "
            f"the series has no slice (the first at {frames.millimetres(series)[0]:.4g} mm): copy the "
            "missing slices, or resample it to the series."
        )


def _dataset(pydicom: Any, path: Path) -> Any:
    """The content of a DICOM-SEG, also without a preamble, with a blanked class or without a syntax."""
    found = pydicom.dcmread(path, force=True)
    meta = getattr(found, "file_meta", None)
    if meta is None or "TransferSyntaxUID" not in meta:
        implicit, _ = found.original_encoding
        found.file_meta = pydicom.dataset.FileMetaDataset()
        found.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
        )
    if found.get("SOPClassUID") not in SEGMENTATIONS:
        found.SOPClassUID = SEGMENTATIONS[0]
    return found


def _by_frame(
    pydicom: Any,
    found: Any,
    segmentation: Segmentation,
    wanted: set[int],
    series: Series,
    places: Sequence[float],
) -> Codes | None:
    """Numbers of the ``wanted`` segments, each frame on its slice at ``places`` of the series' grid.

    Frames without a slice are left out. Frames are decoded one at a time: a hundred segments of a CT do
    not fit into the memory.

    Returns:
        [column, row, slice]; None if a frame is not parallel to the slices, pixel on pixel.
    """
    height, width = series.stack.slices[0].size
    result = np.zeros((width, height, len(places)), np.int32)
    shared = (found.get("SharedFunctionalGroupsSequence") or [{}])[0]
    if len(segmentation.planes) != int(found.NumberOfFrames):
        return None
    for pixels, plane, groups in zip(
        _frames(pydicom, found),
        segmentation.planes,
        found.PerFrameFunctionalGroupsSequence,
        strict=True,
    ):
        key = "SegmentIdentificationSequence"
        group = groups.get(key) or shared.get(key)
        number = int(group[0].ReferencedSegmentNumber) if group else None
        if number is not None and number not in wanted:
            continue
        # a label map holds the numbers themselves
        numbers = pixels.T.astype(np.int32) * (number or 1)
        numbers[~np.isin(numbers, list(wanted))] = 0
        place = place_of(plane, series)
        if place is None:
            return None
        index = slice_at(place[0], places)
        if index is None:
            continue
        turned = _turned(numbers, place[1], (width, height))
        if turned is None:
            return None
        before = result[..., index]
        if ((turned != 0) & (before != 0) & (before != turned)).any():
            raise _overlapping(series)
        result[..., index] = np.where(turned != 0, turned, before)
    return result


def _frames(pydicom: Any, found: Any) -> Iterator[NDArray[Any]]:
    """The frames of a file, one at a time: [row, column]."""
    syntax = found.file_meta.TransferSyntaxUID
    if found.BitsAllocated != 1 or syntax.is_compressed:
        yield from pydicom.pixels.iter_pixels(found)
        return
    # packed frames may begin within a byte, which pydicom decodes only all at once
    packed = np.frombuffer(found.PixelData, np.uint8)
    size = found.Rows * found.Columns
    for start in range(0, size * int(found.NumberOfFrames), size):
        first, skipped = divmod(start, 8)
        bits = np.unpackbits(packed[first : first + (skipped + size + 7) // 8], bitorder="little")
        yield bits[skipped : skipped + size].reshape(found.Rows, found.Columns)


def _turned(
    numbers: NDArray[np.int32], flat: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.int32] | None:
    """A frame on the pixels of a slice; ``flat`` is the affine between them (see `place_of`)."""
    affine = np.eye(4)
    affine[:2, :2], affine[:2, 3] = flat[:2, :2], flat[:2, 2]
    turned = onto_grid(numbers[..., None], affine, np.eye(4), (*shape, 1))
    return None if turned is None else turned[..., 0]


def _contradiction(
    segmentations: Sequence[Segmentation], codes: Mapping[str, int], code: int, series: Series
) -> UserError:
    """The error for several segmentations that draw one class differently."""
    names = (name for one in segmentations for _, name in one.segments if codes.get(name) == code)
    drawing = [
        one for one in segmentations if any(codes.get(name) == code for _, name in one.segments)
    ]
    readers = len({one.readers for one in drawing if one.readers})
    return UserError(
        f"{series.name} has {len(drawing)} DICOM-SEG that draw '{next(names)}' differently (by "
        f"{readers or 'no'} named {'reader' if readers == 1 else 'readers'}): {_choice(drawing)}keep "
        "one DICOM-SEG per series."
    )


def _choice(segmentations: Sequence[Segmentation]) -> str:
    """The advice to choose a reader, followed by 'or'; empty if the readers' names do not differ."""
    if len({one.readers for one in segmentations}) < 2:
        return ""
    return "choose one with --reader NAME (ContentCreatorName or OperatorsName), or "


def _overlapping(series: Series, segmentations: Sequence[Segmentation] = ()) -> UserError:
    if len(segmentations) > 1:
        return UserError(
            f"{series.name} has {len(segmentations)} DICOM-SEG whose segments overlap: "
            f"{_choice(segmentations)}save segments without overlap."
        )
    return UserError(
        f"The DICOM-SEG of {series.name} has overlapping segments: save segments without overlap."
    )
