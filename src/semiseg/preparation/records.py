"""Records of prepared cases, measured when an image is read and stored next to its arrays.

With the records of an interrupted or earlier preparation, cases need not be read again.
``records.jsonl`` contains the options on its first line and a case on each other line. Incomplete lines
of a killed process are ignored.
"""

import base64
import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from semiseg.data.fingerprint import CaseMeasures, measures_of
from semiseg.data.manifest import Case, Row
from semiseg.data.task import Bounds, Intensity, Side, Step, bounds_of
from semiseg.data.volume import Volume
from semiseg.datasets.base import SourceCase
from semiseg.datasets.naming import slices_without_labels
from semiseg.digests import text_digest
from semiseg.errors import UserError
from semiseg.files import atomic_write, read_text
from semiseg.formats.remarks import OUTLINED
from semiseg.preparation.label_maps import label_map
from semiseg.preparation.near_duplicates import PICTURE, VOLUME, Fingerprint
from semiseg.preparation.sources import SourceFile
from semiseg.text import listed

FORMAT = 6  # of the records and their measures: cases of other formats are read again
NAME = "records.jsonl"


class Record(BaseModel):
    """The record of a case. To measure more, add a field here and to `measure`.

    Attributes:
        identifier: identifier of the case.
        files: the source files.
        shape: [D, C, H, W].
        bounds: the intensities that become 0 and 1.
        voxels: number of voxels of each class code and of ``IGNORE_INDEX``; None if unlabelled.
        measures: measures for the fingerprint of the data set.
        unlabelled_slices: slices whose label is completely ignored.
        unnamed: codes of the source's label without a class.
        remarks: as in `Volume`.
        signature: the small version of the image (`semiseg.preparation.near_duplicates`), float16 in
            base64.
        label_map: the small map of the label (`semiseg.preparation.label_maps`), float16 in base64;
            empty if unlabelled.
        spacing, affine, slice_axis: as in `Volume`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    identifier: str
    files: tuple[SourceFile, ...]
    shape: tuple[Side, Side, Side, Side]
    bounds: Bounds
    voxels: dict[int, int] | None
    measures: CaseMeasures
    unlabelled_slices: tuple[int, ...] = ()
    unnamed: tuple[int, ...] = ()
    remarks: dict[str, str] = {}
    signature: str = ""
    label_map: str = ""
    spacing: tuple[Step, Step, Step] | None = None
    affine: tuple[Row, Row, Row, Row] | None = None
    slice_axis: int = 0

    @field_validator("signature", "label_map")
    @classmethod
    def _whole(cls, text: str) -> str:
        if len(base64.b64decode(text, validate=True)) % 2:
            raise ValueError("cut off")
        return text

    def case(self, source: SourceCase, spacing: tuple[float, float, float] | None) -> Case:
        """The entry in the manifest; ``spacing`` replaces that of the file."""
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
            outlined=OUTLINED in self.remarks,
        )


class LeftOut(BaseModel):
    """A case that could not be read and was left out by ``--skip-bad``.

    Attributes:
        left_out: identifier of the case.
        source: the image, as in the manifest.
        patient: its patient.
        files: the source files; () if they cannot be read at all.
        why: the error, one sentence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    left_out: str
    source: str
    patient: str
    files: tuple[SourceFile, ...]
    why: str


class UnreadableCasesError(UserError):
    """Cases that cannot be read. The other cases stay prepared, so that nothing is read twice."""

    def __init__(self, cases: Sequence[LeftOut], total: int, hint: str = "") -> None:
        """Args: cases: those that cannot be read. total: number of all. hint: how to find them."""
        hint = hint and f"; {hint}"
        if len(cases) == 1:
            super().__init__(f"{cases[0].why.removesuffix('.')} (or use --skip-bad{hint}).")
            return
        super().__init__(
            f"{len(cases):,} of {total:,} images cannot be used ({listed(c.source for c in cases)}): "
            f"repair them, or use --skip-bad to go on without them{hint}; the first: {cases[0].why}"
        )


def measure(
    case: SourceCase,
    volume: Volume,
    files: tuple[SourceFile, ...],
    intensity: Intensity,
    unnamed: tuple[int, ...] = (),
) -> Record:
    """The record of a case.

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
        signature=_packed(_signature(volume.image)),
        label_map="" if volume.label is None else _packed(label_map(volume.label)),
        spacing=volume.spacing,
        affine=None if affine is None else tuple(tuple(row) for row in affine.tolist()),
        slice_axis=volume.slice_axis,
    )


def content_digest(options: Mapping[str, Any], records: Iterable[Record]) -> str:
    """The digest of the source files of a data set and of the options that they were read with."""
    files = sorted((one.identifier, [file.digest for file in one.files]) for one in records)
    return text_digest(json.dumps([dict(options), files], sort_keys=True))


def _signature(image: NDArray[np.generic]) -> NDArray[np.float32]:
    fingerprint = Fingerprint(PICTURE if len(image) == 1 else VOLUME)
    for plane in image:
        fingerprint.add(plane)
    return fingerprint.signature()


def _packed(values: NDArray[np.float32]) -> str:
    return base64.b64encode(values.astype(np.float16).tobytes()).decode()


def unpacked(text: str) -> NDArray[np.float32]:
    """The values of a `Record`'s signature or map."""
    return np.frombuffer(base64.b64decode(text), np.float16).astype(np.float32)


def first_line(options: Mapping[str, Any]) -> str:
    """The line of the options in the file."""
    return json.dumps({"format": FORMAT, "options": options}, sort_keys=True) + "\n"


def line_of(record: Record | LeftOut) -> str:
    """The line of a record in the file."""
    return record.model_dump_json() + "\n"


def read_records(folder: Path) -> tuple[dict[str, Any], dict[str, Record]] | None:
    """Options and complete records of ``folder``; None if they cannot be read."""
    try:
        lines = read_text(folder / NAME).split("\n")[:-1]
        head = json.loads(lines[0])
        if head["format"] != FORMAT:
            return None
        options = dict(head["options"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    records = {}
    for line in lines[1:]:
        try:
            record = Record.model_validate_json(line)
        except ValidationError:
            continue  # incomplete, or of another version: the case is read again
        records[record.identifier] = record
    return options, records


def read_left_out(folder: Path) -> tuple[LeftOut, ...]:
    """The cases that were left out of ``folder``; () if there are none."""
    try:
        lines = read_text(folder / NAME).split("\n")[1:-1]
    except (OSError, ValueError):
        return ()
    found = []
    for line in lines:
        with contextlib.suppress(ValidationError):  # the record of a case that was read
            found.append(LeftOut.model_validate_json(line))
    return tuple(found)


def write_records(
    folder: Path, options: Mapping[str, Any], records: Iterable[Record | LeftOut]
) -> None:
    """Replace the records of ``folder`` atomically."""
    with atomic_write(folder / NAME) as partial:
        text = first_line(options) + "".join(line_of(record) for record in records)
        partial.write_text(text, encoding="utf-8")
