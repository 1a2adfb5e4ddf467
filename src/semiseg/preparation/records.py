"""What is known of one prepared case: measured when its image is read, kept beside its arrays.

With the records of a preparation that was interrupted, or of an older one, the next need not read a case
again. ``records.jsonl`` holds the options on its first line and a case on each other one; a line that a
dying process left half-written is no line.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from semiseg.data.fingerprint import CaseMeasures, measures_of
from semiseg.data.manifest import Case
from semiseg.data.task import Bounds, Intensity, bounds_of
from semiseg.data.volume import Volume
from semiseg.datasets.base import SourceCase
from semiseg.datasets.naming import slices_without_labels
from semiseg.errors import UserError
from semiseg.files import atomic_write
from semiseg.preparation.sources import SourceFile

FORMAT = 4  # of the records and of what is measured: others are measured again
NAME = "records.jsonl"


class Record(BaseModel):
    """What reading one case has shown. To measure more of each image: a field here and in `measure`.

    Attributes:
        identifier: of the case.
        files: what it was read from.
        shape: [D, C, H, W].
        bounds: the intensities that become 0 and 1.
        voxels: how many voxels each class code has, and ``IGNORE_INDEX``; None for an unlabelled image.
        measures: for the set's fingerprint.
        unlabelled_slices: slices of the label that are ignored everywhere.
        unnamed: codes of the source's label that no class names.
        remarks: as `Volume.remarks`.
        spacing, affine, slice_axis: as in `Volume`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    identifier: str
    files: tuple[SourceFile, ...]
    shape: tuple[int, int, int, int]
    bounds: Bounds
    voxels: dict[int, int] | None
    measures: CaseMeasures
    unlabelled_slices: tuple[int, ...] = ()
    unnamed: tuple[int, ...] = ()
    remarks: dict[str, str] = {}
    spacing: tuple[float, float, float] | None = None
    affine: tuple[tuple[float, ...], ...] | None = None
    slice_axis: int = 0

    def case(self, source: SourceCase, spacing: tuple[float, float, float] | None) -> Case:
        """The manifest's entry; ``spacing`` replaces the file's."""
        return Case(
            identifier=source.identifier,
            patient=source.patient,
            shape=self.shape,
            labelled=self.voxels is not None,
            bounds=self.bounds,
            spacing=spacing or self.spacing,
            affine=self.affine,
            slice_axis=self.slice_axis,
            source=source.source,
            unlabelled_slices=self.unlabelled_slices,
        )


def measure(
    case: SourceCase,
    volume: Volume,
    files: tuple[SourceFile, ...],
    intensity: Intensity,
    unnamed: tuple[int, ...] = (),
) -> Record:
    """All that is kept of one case.

    Raises:
        UserError: if image and label differ in shape.
    """
    depth, channels, height, width = volume.image.shape
    voxels = None
    if volume.label is not None:
        if volume.label.shape != (depth, height, width):
            raise UserError(f"{case.source}: image and label differ in shape: export them again.")
        counts = np.bincount(volume.label.ravel(), minlength=256)
        voxels = {int(code): int(counts[code]) for code in np.flatnonzero(counts)}
    affine = volume.affine
    return Record(
        identifier=case.identifier,
        files=files,
        shape=(depth, channels, height, width),
        bounds=bounds_of(volume.image, intensity),
        voxels=voxels,
        measures=measures_of(volume),
        unlabelled_slices=() if volume.label is None else slices_without_labels(volume.label),
        unnamed=unnamed,
        remarks=dict(volume.remarks),
        spacing=volume.spacing,
        affine=None if affine is None else tuple(tuple(row) for row in affine.tolist()),
        slice_axis=volume.slice_axis,
    )


def first_line(options: Mapping[str, Any]) -> str:
    """The options as they stand in the file."""
    return json.dumps({"format": FORMAT, "options": options}, sort_keys=True) + "\n"


def line_of(record: Record) -> str:
    """A record as it stands in the file."""
    return record.model_dump_json() + "\n"


def read_records(folder: Path) -> tuple[dict[str, Any], dict[str, Record]] | None:
    """Options and whole records of ``folder``; None where none can be read."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8").split("\n")[:-1]
        head = json.loads(lines[0])
        if head["format"] != FORMAT:
            return None
        options = dict(head["options"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    records = {}
    for line in lines[1:]:
        try:
            record = Record.model_validate_json(line)
        except ValidationError:
            continue
        records[record.identifier] = record
    return options, records


def write_records(folder: Path, options: Mapping[str, Any], records: Iterable[Record]) -> None:
    """Replace the records of ``folder``, all or none."""
    with atomic_write(folder / NAME) as partial:
        text = first_line(options) + "".join(line_of(record) for record in records)
        partial.write_text(text, encoding="utf-8")
