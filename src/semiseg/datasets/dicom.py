"""DICOM series with labels as DICOM-SEG or other volumes (the extra ``dicom``).

Nothing that identifies a person is kept: cases are named by a digest of their series' UID, patients
are numbered, and paths below the source are neither shown nor stored.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import Intensity
from semiseg.data.volume import Volume
from semiseg.datasets.base import Options, Scan, SourceCase, refused_case
from semiseg.datasets.dicom_labels import Labels, find_labels
from semiseg.datasets.dicom_patients import patients_of
from semiseg.errors import UserError
from semiseg.formats import volume_format_of
from semiseg.formats.dicom import Refused, Series, series_below
from semiseg.formats.dicom_files import holds_dicom
from semiseg.formats.dicom_pixels import PADDING, read_series
from semiseg.formats.dicom_seg import read_segmentations
from semiseg.formats.dicom_segments import Segmentation
from semiseg.formats.grid import GRID_TOLERANCE, Affine, as_label, onto_grid
from semiseg.formats.uneven import nearest


class Dicom:
    """A tree of DICOM files."""

    name = "dicom"
    summary = "DICOM series in any folders, labels as DICOM-SEG or as SERIES.nii.gz next to a folder SERIES"
    where = "anybody's own images; needs pip install 'semiseg[dicom]'"

    def detect(self, folder: Path) -> str | None:
        """Look for any DICOM file below the folder."""
        return "it holds DICOM files" if holds_dicom(folder) else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """List one case per series; reads headers only.

        A series that does not form a volume, or a file that cannot be read, is a case that raises the
        reason when it is read.

        Raises:
            UserError: for labels that match no series or have both forms, options that do not fit, or
                if pydicom is missing.
        """
        found = series_below(folder, options.uneven_slices)
        if not found.series:
            raise UserError(
                f"{folder} holds DICOM files but no series of slices: {found.reasons()}"
            )
        labels = find_labels(folder, found, options)
        origins = [one.origin for one in found.series]
        origins += [one.origin for one in found.refused if one.origin is not None]
        patients, notes = patients_of(folder, origins, options.patient_pattern)
        cases = [_case(series, labels, patients) for series in found.series]
        cases += [_refused(one, patients) for one in found.refused]
        return Scan(
            name="DICOM",
            cases=tuple(sorted(cases, key=lambda case: (case.patient, case.identifier))),
            classes=labels.classes,
            kind="volumes",
            intensity=Intensity(kind="percentile", low=0.5, high=99.5),
            by_data=True,
            colours=labels.colours(),
            notes=(*found.notes, *labels.notes, *notes),
            afterwards=_notes_on_padding,
        )


def _case(series: Series, labels: Labels, patients: Mapping[str, str]) -> SourceCase:
    """The case of a series."""
    label, drawn = labels.files.get(series.uid), labels.drawn.get(series.uid, ())
    return SourceCase(
        identifier=series.name,
        patient=patients[series.uid],
        has_label=bool(drawn) or label is not None,
        part=None,
        source=series.name,
        files=(
            *series.files,
            *(() if label is None else _files_of(label, series)),
            *(one.path for one in drawn),
        ),
        private=True,
        read=functools.partial(_read, series, label, drawn, labels.codes),
    )


def _refused(refused: Refused, patients: Mapping[str, str]) -> SourceCase:
    """A case that cannot be read."""
    origin = refused.origin
    return refused_case(
        refused.name,
        refused.name if origin is None else patients[origin.uid],
        refused.name,
        refused.why,
        files=() if origin is None else origin.paths,
        private=True,
    )


def _notes_on_padding(remarks: Mapping[str, Sequence[str]]) -> Sequence[str]:
    if PADDING not in remarks:
        return ()
    return (
        f"{len(remarks[PADDING]):,} series have a PixelPaddingValue that lies between their other "
        "intensities, so it is kept as an intensity.",
    )


def _read(
    series: Series,
    label: Path | None,
    segmentations: Sequence[Segmentation],
    codes: Mapping[str, int],
) -> Volume:
    volume = read_series(series)
    if segmentations:
        drawn = read_segmentations(segmentations, codes, series, volume)
        return dataclasses.replace(volume, label=drawn)
    if label is None:
        return volume
    try:
        return dataclasses.replace(volume, label=_read_label(label, series, volume))
    except UserError as error:  # the file's name often contains the patient's name
        message = str(error).replace(str(label), f"The label of {series.name}")
        raise UserError(message) from None


def _files_of(label: Path, series: Series) -> tuple[Path, ...]:
    try:
        return volume_format_of(label).files(label)
    except UserError:  # the file's name often contains the patient's name
        raise UserError(
            f"The label of {series.name} is a header without its file of voxels: copy that file to the "
            "same folder."
        ) from None


def _read_label(path: Path, series: Series, like: Volume) -> NDArray[np.uint8]:
    """Read a label whose axes may be permuted or mirrored, as by converters from DICOM."""
    data, affine = volume_format_of(path).load(path)
    shape = np.moveaxis(like.image[:, 0], 0, like.slice_axis).shape
    turned = None
    if data.ndim == 3 and data.size == np.prod(shape):
        turned = onto_grid(data, affine, series.affine, shape)
    elif data.ndim == 3 and not series.stack.even:
        turned = _resampled(data, affine, series, shape[:2])
    if turned is not None:
        data, affine = turned, series.affine
    return as_label(data, affine, path, like, remedy="")


def _resampled(
    data: NDArray[Any], affine: Affine, series: Series, size: tuple[int, ...]
) -> NDArray[Any] | None:
    """A label with one slice per slice of an unevenly spaced series, on the series' resampled grid.

    No header can give uneven distances, so only the first slice and the directions are compared.

    Args:
        data, affine: the label.
        series: the series.
        size: numbers of its columns and rows.

    Returns:
        [column, row, slice], or None if the label has another number of slices or another grid.
    """
    stack, grid = series.stack, series.affine
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    normal = grid[:3, 2] / np.linalg.norm(grid[:3, 2])
    axis = int(np.argmax(np.abs(normal @ directions)))
    count = len(stack.slices)
    if data.shape[axis] != count:
        return None
    forward = float(normal @ directions[:, axis]) > 0
    planes = affine.copy()  # with slices at 0, 1, 2, ... of the grid
    planes[:3, axis] = grid[:3, 2] if forward else -grid[:3, 2]
    if not forward:
        planes[:3, 3] -= grid[:3, 2] * (stack.places[-1] - (count - 1))
    first = np.linalg.solve(grid[:3, :3], planes[:3, 3] - grid[:3, 3])[2]
    if abs(first - (0 if forward else count - 1)) > GRID_TOLERANCE:
        return None
    ordered = onto_grid(data, planes, grid, (*size, count))
    if ordered is None:
        return None
    return np.moveaxis(nearest(np.moveaxis(ordered, 2, 0), stack.places), 0, 2)
