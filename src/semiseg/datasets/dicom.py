"""DICOM series with labels as DICOM-SEG or other volumes (the extra ``dicom``).

Nothing that identifies a person is kept: cases are named by a digest of their series' UID, patients
are numbered, and paths below the source are neither shown nor stored.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import Intensity
from semiseg.data.volume import Volume
from semiseg.datasets.base import Options, Scan, SourceCase, with_background
from semiseg.datasets.pairing import files_of, role_of
from semiseg.errors import UserError
from semiseg.formats import is_volume, stem_of, volume_format_of
from semiseg.formats.dicom import (
    Found,
    Series,
    holds_dicom,
    read_series,
    series_below,
)
from semiseg.formats.dicom_header import Segmentation
from semiseg.formats.dicom_seg import read_segmentations
from semiseg.formats.grid import as_label, onto_grid


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

        Raises:
            UserError: for series that are not volumes, labels that match no series or have both
                forms, or if pydicom is missing.
        """
        if options.patient_pattern is not None:
            raise UserError(
                "--patient-pattern does not apply to DICOM, because the headers contain the patients: "
                "omit it."
            )
        found = series_below(folder)
        if not found.series:
            raise UserError(
                f"{folder} holds DICOM files but no series of slices: {' '.join(found.notes)}"
            )
        drawn, files, notes = _labels(folder, found)
        names, codes = _classes(drawn, options)
        patients = _patients(found.series)
        if any(series.patient.startswith("study") for series in found.series):
            notes.append("series without a PatientID: each of their studies counts as a patient.")
        cases = [
            SourceCase(
                identifier=series.name,
                patient=patients[series.patient],
                has_label=series.uid in drawn or series.uid in files,
                part=None,
                source=series.name,
                files=(
                    *series.files,
                    *(_files_of(files[series.uid], series) if series.uid in files else ()),
                    *(one.path for one in drawn.get(series.uid, ())),
                ),
                private=True,
                read=functools.partial(
                    _read, series, files.get(series.uid), tuple(drawn.get(series.uid, ())), codes
                ),
            )
            for series in found.series
        ]
        return Scan(
            name="DICOM",
            cases=tuple(sorted(cases, key=lambda case: (case.patient, case.identifier))),
            classes=names,
            kind="volumes",
            intensity=Intensity(kind="percentile", low=0.5, high=99.5),
            by_data=True,
            colours={
                codes[name]: colour
                for segmentations in drawn.values()
                for segmentation in segmentations
                for name, colour in segmentation.colours
                if name in codes
            },
            notes=(*found.notes, *notes),
        )


def _labels(
    folder: Path, found: Found
) -> tuple[dict[str, list[Segmentation]], dict[str, Path], list[str]]:
    """DICOM-SEG files and label files by their series' UID (one of the two is empty), and notes.

    Raises:
        UserError: for labels of both kinds, and if no label file matches a series.
    """
    drawn: dict[str, list[Segmentation]] = {}
    for segmentation in found.segmentations:
        drawn.setdefault(segmentation.series_uid, []).append(segmentation)
    files, unused = _label_files(folder, found.series)
    if files and drawn:
        raise UserError(
            f"{folder} has labels both as DICOM-SEG and as other files: keep one of the two."
        )
    if unused and not (files or drawn):
        raise UserError(
            f"{folder}: none of {unused:,} label files matches a series: name each like the folder of "
            "its series and put it next to that folder, or into a folder 'labels'."
        )
    known = {series.uid for series in found.series}
    unmatched = sum(len(found) for uid, found in drawn.items() if uid not in known)
    counts = ((unmatched, "DICOM-SEG files"), (unused, "files of other formats"))
    notes = [
        f"{n:,} {what} belong to none of the series and are left out." for n, what in counts if n
    ]
    return drawn, files, notes


def _patients(series: Sequence[Series]) -> dict[str, str]:
    """Patient -> ``patient-001``, numbered in the order of the series' digests.

    A digest of the PatientID is not safe: IDs are short, so it could be inverted by trying all.
    """
    order = dict.fromkeys(one.patient for one in sorted(series, key=lambda one: one.name))
    return {patient: f"patient-{number:03d}" for number, patient in enumerate(order, 1)}


def _classes(
    drawn: Mapping[str, Sequence[Segmentation]], options: Options
) -> tuple[tuple[str, ...] | None, dict[str, int]]:
    """Class names, background first, and the class code of each segment's name."""
    segments = {
        (number, name)
        for segmentations in drawn.values()
        for segmentation in segmentations
        for number, name in segmentation.segments
    }
    chosen = with_background(options.classes) if options.classes else None
    if not segments:
        return chosen, {}
    found = tuple(dict.fromkeys(name for _, name in sorted(segments)))
    names = chosen or with_background(found)
    lower = {name.lower(): code for code, name in enumerate(names)}
    codes = {name: lower[name.lower()] for name in found if name.lower() in lower}
    if not codes:
        raise UserError(
            f"--classes {','.join(names[1:])} matches no segment of the DICOM-SEG files "
            f"({', '.join(found)}): use these names."
        )
    return names, codes


def _label_files(folder: Path, series: Sequence[Series]) -> tuple[dict[str, Path], int]:
    """UID of a series -> its label, and the number of other volumes.

    A label is in or next to the folder of its series, or in a folder of labels.
    """
    named: dict[str, list[Path]] = {}
    for path in files_of(folder, is_volume):
        named.setdefault(stem_of(path), []).append(path)
    folders = Counter(one.folder for one in series)
    same_name = Counter(place.name for place in folders)
    labels: dict[str, Path] = {}
    for one in series:
        place = one.folder
        candidates = named.get(place.name, [])
        near = [path for path in candidates if path.parent in (place, place.parent)]
        if not near and same_name[place.name] == 1:
            near = [path for path in candidates if role_of(path.parent.name)[0] == "label"]
        if not near:
            continue
        if len(near) > 1 or folders[place] > 1:
            several = "label files" if len(near) > 1 else "series in one folder for a label file"
            raise UserError(
                f"{one.name} has several {several}: keep one label file and one folder per series."
            )
        labels[one.uid] = near[0]
    return labels, sum(map(len, named.values())) - len(set(labels.values()))


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
    if data.ndim == 3 and data.size == np.prod(shape):
        turned = onto_grid(data, affine, series.affine, shape)
        if turned is not None:
            data, affine = turned, series.affine
    return as_label(data, affine, path, like)
