"""The interface of layouts, which list the cases of a source."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from semiseg.data.manifest import PARTS, Part, Split
from semiseg.data.task import IGNORE_INDEX, Intensity
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.text import plural

# What may follow the patient in the name of an image.
ENDINGS = re.compile(
    r"[_\-. ](?:(?:frame|slice|phase|time|visit|session|ses)[_\-]?\d+|ED|ES)$", re.IGNORECASE
)


@dataclasses.dataclass(frozen=True)
class Naming:
    """The user's definition of the values in labels (see `semiseg.datasets.naming`).

    Attributes:
        codes: source code -> class code; None keeps the codes of the labels.
        colours: 0xRRGGBB -> class code, for masks of pictures.
        ignore_value: the value of ignored pixels; None if there is none.
        certain: whether the user has given ``ignore_value``.
        void: the colour 0xRRGGBB of ignored pixels.
        empty_is_unlabelled: whether slices of labelled volumes without any structure are ignored.
    """

    codes: Mapping[int, int] | None = None
    colours: Mapping[int, int] | None = None
    ignore_value: int | None = IGNORE_INDEX
    certain: bool = False
    void: int | None = None
    empty_is_unlabelled: bool = False


@dataclasses.dataclass(frozen=True)
class Options:
    """The user's options for a source.

    Attributes:
        classes: names of the classes, without the background.
        patient_pattern: regular expression that is searched in the identifier; its first group (or
            the whole match) is the patient.
        spacing: (slice, row, column) in mm, instead of that of the files.
        max_side: larger pictures are reduced to this longer side.
        all_frames: whether frames of a time series without annotation are unlabelled images.
        naming: definition of the values in labels.
        reader: person whose DICOM-SEG or masks are the labels; None for all.
        uneven_slices: whether DICOM series with uneven distances of slices are refused or resampled.
        labels: the folder of the labels, or the ending of their names.
        class_by_folder: whether the folder of an image names the class of its mask.
        trust_grid: ``image`` if labels of volumes take the grid of their image, whatever their header says.
    """

    classes: tuple[str, ...] | None = None
    patient_pattern: str | None = None
    spacing: tuple[float, float, float] | None = None
    max_side: int = 512
    all_frames: bool = False
    naming: Naming = Naming()
    reader: str | None = None
    uneven_slices: Literal["refuse", "resample"] = "refuse"
    labels: str | None = None
    class_by_folder: bool = False
    trust_grid: str | None = None


@dataclasses.dataclass(frozen=True)
class SourceCase:
    """One image of the source and a function that reads it.

    Attributes:
        identifier: unique in the data set; also the name of the prepared arrays.
        patient: the patient; splits are made by patient.
        has_label: whether ``read`` returns a label.
        part: the part of the split, if the source's folders name it.
        source: the image's path, relative to the source.
        files: all files that ``read`` opens (image and label), to detect changes.
        private: whether file names may identify a person, so they are neither stored nor shown.
        read: returns the checked volume, or raises UserError. It may run in several threads, and not
            at all if an earlier preparation has read the case, so it must return everything in the
            volume.
    """

    identifier: str
    patient: str
    has_label: bool
    part: Part | None
    source: str
    files: tuple[Path, ...]
    read: Callable[[], Volume]
    private: bool = False

    def stored_names(self, source: Path) -> list[str]:
        """Names of the files for the records: paths relative to ``source`` or a list's folder."""
        if self.private:
            return [f"{self.source}, file {number}" for number in range(1, len(self.files) + 1)]
        folder = folder_of(source)
        return [path.relative_to(folder).as_posix() for path in self.files]


def refused_case(
    identifier: str,
    patient: str,
    source: str,
    why: UserError,
    *,
    has_label: bool = False,
    part: Part | None = None,
    files: tuple[Path, ...] = (),
    private: bool = False,
) -> SourceCase:
    """A case that cannot be read; the reason is raised when it is read, so others are still listed."""

    def read() -> Volume:
        raise why

    return SourceCase(identifier, patient, has_label, part, source, files, read, private)


def folder_of(source: Path) -> Path:
    """The folder of all files of a source: the source itself, or the folder of a list."""
    return source if source.is_dir() else source.parent


OTHER_GRID = "other grid"
"""Remark: a label that takes the grid of its image though its header says otherwise."""


def usual_notes(remarks: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Notes about remarks that all layouts may have."""
    if OTHER_GRID not in remarks:
        return ()
    labels = remarks[OTHER_GRID]
    return (
        f"{plural(len(labels), 'label')} with another position than the image (such as {labels[0]}) "
        f"take{'s' if len(labels) == 1 else ''} the grid of the image (--trust-grid image).",
    )


@dataclasses.dataclass(frozen=True)
class Scan:
    """The content of a source, without voxels.

    Attributes:
        name: name of the data set.
        cases: cases in the order of preparation.
        classes: names, background first; None if they must be derived from the labels.
        kind: volumes or pictures.
        intensity: scaling of the intensities.
        by_data: whether the data may change that scaling (the window of a CT).
        codes: source code -> class code, if they differ; other source codes become background.
        every_code: whether ``codes`` has every code of this layout, so that another code is an error.
        colours: source code -> ``#rrggbb``, if the source defines colours of its classes.
        label_colours: 0xRRGGBB -> class code, if the labels are coloured pictures.
        ignore_value: value of ignored pixels in the labels, if the source defines it.
        channels: number of channels of every case, if it depends on all cases.
        split: the split of the source, if it has one.
        parts: fractions of training, validation and test of a drawn split.
        notes: notes for the user.
        afterwards: returns notes about the remarks of all cases; each remark comes with its files, in
            the order of the cases. It is called for every new remark, so that contradictions raise an
            error early.
    """

    name: str
    cases: tuple[SourceCase, ...]
    classes: tuple[str, ...] | None
    kind: Literal["volumes", "pictures"]
    intensity: Intensity
    by_data: bool = False
    codes: Mapping[int, int] | None = None
    every_code: bool = False
    colours: Mapping[int, str] = dataclasses.field(default_factory=dict)
    label_colours: Mapping[int, int] | None = None
    ignore_value: int | None = None
    channels: int | None = None
    split: Split | None = None
    parts: tuple[float, float, float] = (0.7, 0.1, 0.2)
    notes: tuple[str, ...] = ()
    afterwards: Callable[[Mapping[str, Sequence[str]]], Sequence[str]] = usual_notes


class Layout(Protocol):
    """A folder structure of data sets. Each has its own file and a line in ``LAYOUTS``."""

    name: str
    summary: str
    where: str
    """Where to get such data, and their terms of use."""

    def detect(self, folder: Path) -> str | None:
        """The evidence that ``folder`` has this layout, or None."""

    def scan(self, folder: Path, options: Options) -> Scan:
        """List the cases.

        Raises:
            UserError: for files that contradict each other.
        """


def patient_of(identifier: str, pattern: str | None) -> str:
    """The patient in an identifier: by ``pattern``, else without endings such as ``_frame01``.

    Raises:
        UserError: if the pattern is invalid or does not match.
    """
    if pattern is not None:
        try:
            found = re.search(pattern, identifier)
        except (re.error, OverflowError, RecursionError) as error:
            raise UserError(
                f"--patient-pattern '{pattern}' is not a regular expression ({error}): correct it."
            ) from None
        patient = (found.group(1) if found.re.groups else found.group(0)) if found else None
        if not patient:
            raise UserError(
                f"--patient-pattern '{pattern}' finds no patient in '{identifier}': correct it."
            )
        return str(patient)
    while (shorter := ENDINGS.sub("", identifier)) != identifier and shorter:
        identifier = shorter
    return identifier


def with_background(names: Sequence[str]) -> tuple[str, ...]:
    """Class names with the background first; it is added if missing.

    Raises:
        UserError: for missing, empty or duplicate names.
    """
    foreground = [name.strip() for name in names]
    if foreground and foreground[0].lower() == "background":
        foreground = foreground[1:]
    if not foreground or not all(foreground) or len({"background", *foreground}) <= len(foreground):
        raise UserError(
            f"--classes '{','.join(names)}': name each class once, for example RV,Myo,LV."
        )
    return ("background", *foreground)


def named_codes(words: Sequence[str]) -> tuple[tuple[str, ...], dict[int, int] | None]:
    """``["3=liver", "7=tumour"]`` -> names with the background first, and source code -> class code.

    Codes of the same name become one class. For names without codes the table is None: they are the
    codes 1, 2, ...

    Raises:
        UserError: if only some names have a code, or a code occurs twice.
    """
    if not any("=" in word for word in words):
        return with_background(words), None
    names: list[str] = []
    table: dict[int, int] = {}
    for word in words:
        code, _, name = (part.strip() for part in word.partition("="))
        if not (code.isdecimal() and 0 < int(code) < 256 and name) or int(code) in table:
            raise UserError(
                f"--classes '{word}': write every class as CODE=NAME with unique codes from 1 to 255, "
                "for example 3=liver,7=tumour."
            )
        if name not in names:
            names.append(name)
        table[int(code)] = names.index(name) + 1
    return with_background(names), table


def split_of_parts(
    cases: Sequence[SourceCase], origin: str
) -> tuple[Split | None, tuple[str, ...]]:
    """The split by sub-folders such as ``train`` and ``test``, and notes about it.

    A part other than ``train`` without labels cannot be evaluated: its images become unlabelled
    training images.
    """
    patients: dict[Part, dict[str, None]] = {part: {} for part in PARTS}
    useful = {case.part for case in cases if case.has_label}
    notes = []
    for part in PARTS:
        moved = sum(case.part == part for case in cases)
        if part != "train" and moved and part not in useful:
            notes.append(
                f"the {part} folder has no labels: its {moved} images serve as unlabelled training "
                "images (move them away if they must stay unseen)."
            )
    for case in cases:
        part = case.part if case.part in useful and case.part is not None else "train"
        patients[part][case.patient] = None
    if not patients["validation"] and not patients["test"]:
        return None, tuple(notes)
    split = Split(
        train=tuple(patients["train"]),
        validation=tuple(patients["validation"]),
        test=tuple(patients["test"]),
        origin=origin,
    )
    return split, tuple(notes)
