"""What a layout is: how a folder's files become cases."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from semiseg.data.manifest import PARTS, Part, Split
from semiseg.data.task import IGNORE_INDEX, Intensity
from semiseg.data.volume import Volume
from semiseg.errors import UserError

# What may stand behind a patient in the name of an image.
ENDINGS = re.compile(
    r"[_\-. ](?:(?:frame|slice|phase|time|visit|session|ses)[_\-]?\d+|ED|ES)$", re.IGNORECASE
)


@dataclasses.dataclass(frozen=True)
class Naming:
    """What a person says of the values in labels (see `semiseg.datasets.naming`).

    Attributes:
        codes: source code -> class code; None: the labels' own.
        colours: 0xRRGGBB -> class code, of pictures' masks.
        ignore_value: the value of ignored pixels; None: there is no such value.
        certain: a person has named that value.
        void: the colour 0xRRGGBB of ignored pixels.
        empty_is_unlabelled: slices of labelled volumes that hold no structure are ignored.
    """

    codes: Mapping[int, int] | None = None
    colours: Mapping[int, int] | None = None
    ignore_value: int | None = IGNORE_INDEX
    certain: bool = False
    void: int | None = None
    empty_is_unlabelled: bool = False


@dataclasses.dataclass(frozen=True)
class Options:
    """What a person may say about a source.

    Attributes:
        classes: names of the classes, without the background.
        patient_pattern: regular expression found in the identifier; its first group (or the whole
            match) is the patient.
        spacing: (slice, row, column) in mm, in place of what the files say.
        max_side: larger pictures are reduced to this longer side.
        all_frames: of a time series, also the frames without annotation, as unlabelled images.
        naming: of the values in labels.
    """

    classes: tuple[str, ...] | None = None
    patient_pattern: str | None = None
    spacing: tuple[float, float, float] | None = None
    max_side: int = 512
    all_frames: bool = False
    naming: Naming = Naming()


@dataclasses.dataclass(frozen=True)
class SourceCase:
    """One image in the source, which reads itself.

    Attributes:
        identifier: unique in the set; also the name of the prepared arrays.
        patient: whose image it is; splits are made of patients.
        has_label: whether ``read`` will give a label.
        part: where the source's folders say it.
        source: the image's path, relative to the source.
        files: all that ``read`` opens (image and label), to notice when one has changed.
        private: names of files may name a person, and are neither stored nor said.
        read: the checked volume, or UserError naming the file. Several cases are read at a time, and a
            case may be taken from an earlier preparation unread: what it shows goes into the volume.
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
        """What is kept of the files' names: paths relative to ``source`` (or to a list's folder)."""
        if self.private:
            return [f"{self.source}, file {number}" for number in range(1, len(self.files) + 1)]
        folder = folder_of(source)
        return [path.relative_to(folder).as_posix() for path in self.files]


def folder_of(source: Path) -> Path:
    """The folder that all files of a source lie in: itself, or that of a list."""
    return source if source.is_dir() else source.parent


def no_notes(remarks: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Nothing to say."""
    return ()


@dataclasses.dataclass(frozen=True)
class Scan:
    """What a layout found without reading voxels.

    Attributes:
        name: of the data set.
        cases: in the order of preparation.
        classes: background first, or None where only the labels can tell.
        kind: volumes or pictures.
        intensity: how intensities are scaled.
        by_data: what all images hold may decide otherwise (the window of a CT).
        codes: source code -> class code, where the labels' own are others; what is not in it is
            background.
        colours: source code -> ``#rrggbb``, where the source shows its classes in colours.
        ignore_value: the labels' value of ignored pixels, where the source says it.
        channels: that every case is read with, where the cases together decide.
        split: where the source brings one.
        parts: training, validation and test parts of a drawn split, where the papers draw others than
            usual.
        notes: what a person should know.
        afterwards: notes on all cases' remarks (each with the files it is about, in the order of the
            cases); called whenever a new remark appears, so that contradictions are refused early.
    """

    name: str
    cases: tuple[SourceCase, ...]
    classes: tuple[str, ...] | None
    kind: Literal["volumes", "pictures"]
    intensity: Intensity
    by_data: bool = False
    codes: Mapping[int, int] | None = None
    colours: Mapping[int, str] = dataclasses.field(default_factory=dict)
    ignore_value: int | None = None
    channels: int | None = None
    split: Split | None = None
    parts: tuple[float, float, float] = (0.7, 0.1, 0.2)
    notes: tuple[str, ...] = ()
    afterwards: Callable[[Mapping[str, Sequence[str]]], Sequence[str]] = no_notes


class Layout(Protocol):
    """One way in which data sets lie in folders; a file each, listed in ``LAYOUTS``."""

    name: str
    summary: str
    where: str
    """Where such data come from, and their terms."""

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
        UserError: if the pattern is none or does not fit.
    """
    if pattern is not None:
        try:
            found = re.search(pattern, identifier)
        except re.error as error:
            raise UserError(
                f"--patient-pattern '{pattern}' is no regular expression ({error}): correct it."
            ) from None
        patient = (found.group(1) if found.re.groups else found.group(0)) if found else None
        if not patient:
            raise UserError(
                f"--patient-pattern '{pattern}' finds no patient in '{identifier}': widen it."
            )
        return str(patient)
    while (shorter := ENDINGS.sub("", identifier)) != identifier and shorter:
        identifier = shorter
    return identifier


def with_background(names: Sequence[str]) -> tuple[str, ...]:
    """Class names with the background first, which may be named already."""
    foreground = [name.strip() for name in names]
    if foreground and foreground[0].lower() == "background":
        foreground = foreground[1:]
    if not foreground or not all(foreground) or len({"background", *foreground}) <= len(foreground):
        raise UserError(
            f"--classes '{','.join(names)}' does not name each class once: for example RV,Myo,LV."
        )
    return ("background", *foreground)


def named_codes(words: Sequence[str]) -> tuple[tuple[str, ...], dict[int, int] | None]:
    """``["3=liver", "7=tumour"]`` -> names with the background first, and source code -> own code.

    Codes of the same name become one class; plain names give no table: they are the codes 1, 2, ...

    Raises:
        UserError: if some words have a code and others none, or a code stands twice.
    """
    if not any("=" in word for word in words):
        return with_background(words), None
    names: list[str] = []
    table: dict[int, int] = {}
    for word in words:
        code, _, name = (part.strip() for part in word.partition("="))
        if not (code.isdecimal() and 0 < int(code) < 256 and name) or int(code) in table:
            raise UserError(
                f"--classes '{word}': write every class as CODE=NAME with codes from 1 to 255, each "
                "once, such as 3=liver,7=tumour."
            )
        if name not in names:
            names.append(name)
        table[int(code)] = names.index(name) + 1
    return with_background(names), table


def split_of_parts(
    cases: Sequence[SourceCase], origin: str
) -> tuple[Split | None, tuple[str, ...]]:
    """The split that sub-folders such as ``train`` and ``test`` tell, and notes about it.

    A part other than ``train`` without a single label cannot be measured on: its images become
    unlabelled training images.
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
