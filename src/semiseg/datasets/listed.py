"""A list of images and labels: a CSV or JSON file, or a folder that contains ``semiseg.csv``.

Columns (or keys of JSON): ``image`` (further channels ``image_2``, ``image_3``, ...; in JSON a list),
``label``, ``patient``, ``part``, ``identifier``. All except ``image`` are optional. Paths are relative
to the list's folder and must stay inside it.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from semiseg.data.manifest import Part
from semiseg.datasets.base import (
    Options,
    Scan,
    SourceCase,
    patient_of,
    refused_case,
    split_of_parts,
)
from semiseg.datasets.list_entries import entries_of
from semiseg.datasets.list_paths import ListPaths
from semiseg.datasets.pairs import Found, Pair
from semiseg.datasets.pictures import scan_pictures
from semiseg.datasets.roles import PART_NAMES
from semiseg.datasets.volumes import scan_volumes
from semiseg.errors import UserError
from semiseg.formats import is_picture, stem_of

NAMES = ("semiseg.csv", "semiseg.json")
SUFFIXES = (".csv", ".json")
LEAVE_EMPTY = "leave the label of an image without one empty, or "
SAFE = re.compile(r"\w[\w .+=@^-]{0,199}")  # identifiers become file names


@dataclasses.dataclass(frozen=True)
class Row:
    """One image of a list with checked paths.

    ``where`` names its line in messages. ``missing`` says which of its files do not exist.
    """

    images: tuple[Path, ...]
    label: Path | None
    patient: str
    part: Part | None
    identifier: str
    where: str
    missing: UserError | None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the row."""
        return self.images if self.label is None else (*self.images, self.label)


class Listed:
    """Images and labels that are listed in a file."""

    name = "manifest"
    summary = "a list: LIST.csv or .json, or semiseg.csv in the folder (image,label,patient,part)"
    where = "anybody's own images, in any folders below the list"

    def detect(self, folder: Path) -> str | None:
        """Look for the list itself, or ``semiseg.csv`` or ``semiseg.json`` in the folder."""
        path = _list_of(folder)
        if path is None:
            return None
        return "a list of images" if path == folder else f"it holds {path.name}"

    def scan(self, folder: Path, options: Options) -> Scan:
        """List the images in the order of the list.

        A row whose files do not all exist is a case that cannot be read.

        Raises:
            UserError: for a list that cannot be read, names files outside its folder or no file that
                exists, or mixes pictures and volumes.
        """
        path = _list_of(folder)
        if path is None:
            raise UserError(f"{folder} holds neither {' nor '.join(NAMES)}: add a list.")
        rows = list(_rows(path))
        if not rows:
            raise UserError(f"{path} lists no image: add a line per image.")
        base = path.parent
        kinds = {is_picture(image) for row in rows for image in row.images}
        if len(kinds) > 1:
            raise UserError(f"{path} lists both pictures and volumes: make two lists.")
        whole = [row for row in rows if row.missing is None]
        if not whole and rows[0].missing:
            raise rows[0].missing
        pairs = tuple(Pair(row.identifier, row.images[0], row.label, row.part) for row in whole)
        found = Found(pairs, (), ())
        name = base.resolve().name if path.name in NAMES else path.stem
        if kinds == {True}:
            several = next((row for row in rows if len(row.images) > 1), None)
            if several is not None:
                raise UserError(
                    f"{several.where} has several channel files, which only volumes may have: merge them "
                    "to one picture."
                )
            scan = scan_pictures(base, found, options, name)
        else:
            files = {pair: row.images for pair, row in zip(pairs, whole, strict=True)}
            scan = scan_volumes(base, found, options, name=name, images=files.__getitem__)
        return _with_patients(_with_missing(scan, rows, base, options), rows, options)


def _with_missing(scan: Scan, rows: Sequence[Row], base: Path, options: Options) -> Scan:
    """The scan with a case that cannot be read for every row whose files do not all exist."""
    whole = iter(scan.cases)
    cases: list[SourceCase] = []
    for row in rows:
        if row.missing is None:
            cases.append(next(whole))
            continue
        cases.append(
            refused_case(
                row.identifier,
                patient_of(row.identifier, options.patient_pattern),
                row.images[0].relative_to(base).as_posix(),
                row.missing,
                has_label=row.label is not None,
                part=row.part,
                files=tuple(file for file in row.files if file.is_file()),
            )
        )
    return dataclasses.replace(scan, cases=tuple(cases))


def _with_patients(scan: Scan, rows: Sequence[Row], options: Options) -> Scan:
    """The scan with the patients of the list, and a split by its parts."""
    if not any(row.patient or row.part for row in rows):
        return scan
    nameless = next((row for row in rows if not row.patient), None)
    if nameless is not None and any(row.patient for row in rows):
        raise UserError(
            f"{nameless.where} names no patient although other rows do: fill the column in every row (in a "
            "spreadsheet, unmerge its cells)."
        )
    cases: list[SourceCase] = []
    for case, row in zip(scan.cases, rows, strict=True):
        patient = row.patient and patient_of(row.patient, options.patient_pattern or ".+")
        cases.append(dataclasses.replace(case, patient=patient or case.patient))
    split, notes = split_of_parts(cases, "the parts of the list")
    _, replaced = split_of_parts(scan.cases, "")
    kept = tuple(note for note in scan.notes if note not in replaced)
    return dataclasses.replace(scan, cases=tuple(cases), split=split, notes=(*notes, *kept))


def _list_of(source: Path) -> Path | None:
    if source.is_file():
        return source if source.suffix.lower() in SUFFIXES else None
    return next((source / name for name in NAMES if (source / name).is_file()), None)


def _rows(path: Path) -> Iterator[Row]:
    entries = list(entries_of(path))
    paths = ListPaths(path)
    stems = [stem_of(Path(paths.local(images[0]))) for images, _, _ in entries]
    for (images, entry, where), stem in zip(entries, stems, strict=True):
        files = tuple(paths.file(name, where) for name in images)
        if len(set(files)) < len(files):
            raise UserError(f"{where} names the same file for two channels: correct it.")
        label = paths.file(entry["label"], where, LEAVE_EMPTY) if entry["label"] else None
        part = PART_NAMES.get(entry["part"].lower())
        if entry["part"] and part is None:
            raise UserError(
                f"{where} has the part '{entry['part']}': use train, validation, test or nothing."
            )
        identifier = entry["identifier"] or stem
        if stems.count(stem) > 1 and not entry["identifier"]:  # such as a/scan.nii and b/scan.nii
            place = files[0].relative_to(path.parent).parent.parts
            identifier = "_".join((*place, stem))
        if not SAFE.fullmatch(identifier):
            raise UserError(
                f"{where} has the identifier '{identifier[:80]}', which cannot be a file name: use at "
                "most 200 letters, digits, '-', '_' and '.', with a letter or digit first."
            )
        absent = next((f for f in (*files, label) if f is not None and not f.is_file()), None)
        missing = None if absent is None else paths.missing(absent, where)
        yield Row(files, label, entry["patient"], part, identifier, where, missing)
