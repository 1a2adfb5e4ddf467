"""Reading of DICOM-SEG, segmentations of a series, through highdicom (the extra ``dicom``)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.dicom import Series
from semiseg.formats.dicom_header import Segmentation, quiet
from semiseg.formats.grid import onto_grid


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
            or overlapping segments, or if highdicom is missing.
    """
    with quiet(series.folder):
        try:
            from highdicom.seg import segread
        except ImportError:
            raise UserError(
                f"{series.name} has a DICOM-SEG, for which highdicom is missing: "
                "run pip install 'semiseg[dicom]'."
            ) from None
        slices = series.stack.slices
        height, width = slices[0].size
        label = np.zeros((width, height, len(slices)), np.uint8)
        for segmentation in segmentations:
            numbers = _numbers(segread, segmentation, series, label.shape)
            for number, name in segmentation.segments:
                if name not in codes:
                    continue
                part = numbers == number
                if ((label[part] != 0) & (label[part] != codes[name])).any():
                    raise _overlapping(series)
                label[part] = codes[name]
    return np.ascontiguousarray(np.moveaxis(label, like.slice_axis, 0))


def _numbers(
    segread: Any, segmentation: Segmentation, series: Series, shape: tuple[int, ...]
) -> NDArray[np.integer[Any]]:
    """Numbers of the segments on the series' grid of (column, row, slice)."""
    try:
        found = segread(segmentation.path)
        if found.SegmentationType == "FRACTIONAL":
            raise UserError(
                f"The DICOM-SEG of {series.name} is fractional: save it as binary masks."
            )
        volume = found.get_volume(combine_segments=True)
        affine = np.asarray(volume.affine, np.float64)
    except UserError:
        raise
    except Exception as error:  # damaged files can raise any exception
        if "overlap" in str(error).lower():
            raise _overlapping(series) from None
        raise UserError(
            f"The DICOM-SEG of {series.name} cannot be read (damaged, or its slices are uneven): "
            "export it again."
        ) from None
    placed = onto_grid(np.asarray(volume.array), affine, series.stack.affine, shape)
    if placed is None:
        raise UserError(
            f"The DICOM-SEG of {series.name} is not on the grid of the series: "
            "resample it to the series."
        )
    return placed


def _overlapping(series: Series) -> UserError:
    return UserError(
        f"The DICOM-SEG of {series.name} has overlapping segments: save segments without overlap."
    )
