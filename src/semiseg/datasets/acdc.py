"""ACDC as downloaded: ``training/patient001/`` with annotated frames and the whole series.

Bernard et al., IEEE TMI 2018. Each patient has ``Info.cfg``, ``patient001_4d.nii.gz`` and two frames
such as ``patient001_frame01.nii.gz`` with ``patient001_frame01_gt.nii.gz``. ``testing/`` contains
``patient101`` to ``patient150``.
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path

from semiseg.data.manifest import Part
from semiseg.data.task import Intensity
from semiseg.datasets.base import (
    Options,
    Scan,
    SourceCase,
    refused_case,
    split_of_parts,
    with_background,
)
from semiseg.datasets.pairs import Pair
from semiseg.datasets.volume_reader import read_pair
from semiseg.errors import UserError
from semiseg.formats import stem_of
from semiseg.formats.nifti import read_nifti, time_points

CLASSES = ("RV", "Myo", "LV")
PARTS: dict[str, Part] = {"training": "train", "testing": "test"}
FRAME = re.compile(r"(patient\d+)_frame(\d+)$")


class Acdc:
    """Cine MRI in one folder per patient."""

    name = "acdc"
    summary = "ACDC as downloaded: training/patient001/patient001_frame01.nii.gz and ..._gt.nii.gz"
    where = "creatis.insa-lyon.fr/Challenge/acdc (registration; CC BY-NC-SA 4.0)"

    def detect(self, folder: Path) -> str | None:
        """Look for a patient's folder with ``Info.cfg``."""
        for _, patient in _patients(folder):
            if (patient / "Info.cfg").is_file():
                return f"{patient.relative_to(folder)} holds Info.cfg and frames"
        return None

    def scan(self, folder: Path, options: Options) -> Scan:
        """List annotated frames; with ``options.all_frames``, also the other frames as unlabelled.

        A patient without frames, or a series that cannot be read, is a case that raises the reason when it
        is read.
        """
        cases = [
            case
            for part, patient in _patients(folder)
            for case in _cases(folder, patient, part, options)
        ]
        split, notes = split_of_parts(cases, "the set's training and testing folders")
        if not options.all_frames:
            notes = (*notes, "frames without annotation are left out (--all-frames adds them).")
        return Scan(
            name="ACDC",
            cases=tuple(cases),
            classes=with_background(options.classes or CLASSES),
            kind="volumes",
            intensity=Intensity(kind="minmax"),  # as in the HDF5 files of the papers
            split=split,
            notes=notes,
        )


def _patients(folder: Path) -> Iterator[tuple[Part | None, Path]]:
    """Patients' folders, in training and testing (also in database) or directly in ``folder``."""
    roots: list[tuple[Part | None, Path]] = [
        (part, base / name)
        for base in (folder, folder / "database")
        for name, part in PARTS.items()
        if (base / name).is_dir()
    ]
    for part, root in roots or [(None, folder)]:
        for patient in sorted(root.glob("patient[0-9]*")):
            if patient.is_dir():
                yield part, patient


def _cases(
    folder: Path, patient: Path, part: Part | None, options: Options
) -> Iterator[SourceCase]:
    annotated = {}
    for path in sorted(patient.glob("patient*_frame*.nii*")):
        match = FRAME.match(stem_of(path))
        if match is None:
            continue  # a mask
        annotated[int(match.group(2))] = path
        identifier = stem_of(path)
        mask = path.with_name(path.name.replace(identifier, f"{identifier}_gt"))
        pair = Pair(identifier, path, mask if mask.is_file() else None, part)
        yield SourceCase(
            identifier=identifier,
            patient=patient.name,
            has_label=pair.label is not None,
            part=part,
            source=str(path.relative_to(folder)),
            files=pair.files,
            read=functools.partial(read_pair, pair, 1, options.trust_grid is not None),
        )
    if not annotated:
        why = UserError(f"{patient} holds no frame such as {patient.name}_frame01.nii.gz: copy it.")
        yield refused_case(
            patient.name, patient.name, str(patient.relative_to(folder)), why, part=part
        )
        return
    series = next(iter(sorted(patient.glob("patient*_4d.nii*"))), None)
    if not options.all_frames or series is None:
        return
    try:
        count = time_points(series)
    except UserError as error:
        source = str(series.relative_to(folder))
        yield refused_case(stem_of(series), patient.name, source, error, part=part, files=(series,))
        return
    for index in range(count):
        if index + 1 in annotated:  # file names count frames from 1
            continue
        yield SourceCase(
            identifier=f"{patient.name}_frame{index + 1:02d}",
            patient=patient.name,
            has_label=False,
            part=part,
            source=f"{series.relative_to(folder)}, frame {index + 1}",
            files=(series,),
            read=functools.partial(read_nifti, series, 1, index),
        )
