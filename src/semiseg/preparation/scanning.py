"""Planning a preparation from a source and the user's options, without reading voxels."""

import dataclasses
import functools
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from semiseg import presets
from semiseg.data.manifest import PARTS, Split
from semiseg.data.splits import check_split, make_split, read_split
from semiseg.data.task import Intensity, is_possible
from semiseg.datasets import find_layout
from semiseg.datasets.base import Layout, Naming, Options, Scan, folder_of
from semiseg.datasets.checks import check_cases
from semiseg.datasets.naming import read_naming
from semiseg.datasets.source_files import special_files
from semiseg.datasets.unread import unread_labels
from semiseg.errors import UserError
from semiseg.formats import is_picture
from semiseg.formats.stack import check_uneven
from semiseg.preparation.auto_config import parse_intensity
from semiseg.preparation.patient_spelling import notes_on_spelling, with_one_spelling
from semiseg.preparation.records import LeftOut
from semiseg.text import listed, plural

FOLDERS = ("volumes", "pictures")  # layouts of any folders of images and labels

Parts = tuple[float, float, float]
Groups = Sequence[tuple[str, ...]]
Redraw = Callable[["Plan", Groups], Split]

# Options that select cases or name their patients but do not change the content of a case.
OF_THE_SET = ("patient_pattern", "all_frames")
# Options of some layouts: they count only if they are given, as earlier versions did not have them.
SPECIAL = {"reader": None, "uneven_slices": "refuse"}
# Layouts of one public data set whose names of folders or files are its patients.
KNOWN_PATIENTS = ("acdc", "btcv", "kits19", "synapse-prepared")


@dataclasses.dataclass(frozen=True)
class Request:
    """The user's options for reading a source; the fields are arguments of `semiseg.prepare`.

    Raises:
        UserError: for an invalid value.
    """

    layout: str | None = None
    classes: Sequence[str] | None = None
    patient_pattern: str | None = None
    spacing: tuple[float, float, float] | None = None
    split: Path | str | None = None
    parts: Parts | None = None
    seed: int = 0
    max_side: int = 512
    intensity: str | None = None
    all_frames: bool = False
    ignore_value: str | int | None = None
    empty_slices: str = "background"
    reader: str | None = None
    uneven_slices: str = "refuse"
    skip_bad: bool = False
    labels: str | None = None
    class_by_folder: bool = False
    trust_grid: str | None = None

    def __post_init__(self) -> None:
        """Check the values that do not depend on the source."""
        spacing = self.spacing
        if spacing is not None and not (len(spacing) == 3 and is_possible(spacing)):
            raise UserError(
                "--spacing takes three distances in mm, above 0 and at most 10,000: slice, row, column."
            )
        if self.empty_slices not in ("background", "unlabelled"):
            raise UserError(f"--empty-slices {self.empty_slices}: use background or unlabelled.")
        check_uneven(self.uneven_slices)
        if self.trust_grid not in (None, "image"):
            raise UserError(
                f"--trust-grid {self.trust_grid}: the only grid that can be trusted is image."
            )
        self.options  # noqa: B018 - raises for invalid classes

    @functools.cached_property
    def options(self) -> Options:
        """The options for a layout."""
        names, naming = read_naming(self.classes, self.ignore_value)
        empty = self.empty_slices == "unlabelled"
        return Options(
            names, self.patient_pattern, self.spacing, self.max_side, self.all_frames,
            dataclasses.replace(naming, empty_is_unlabelled=empty), self.reader,
            check_uneven(self.uneven_slices), self.labels, self.class_by_folder, self.trust_grid,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Plan:
    """The plan of a preparation.

    Attributes:
        source: the folder, or a list of images.
        layout: name of its layout.
        evidence: how the layout was recognised.
        scan: the content of the source.
        options: the user's options.
        split: split of the patients.
        why: reason for the intensity scaling.
        skip_bad: leave out cases that cannot be read, instead of refusing the source.
        left_out: the cases that were left out, which ``scan`` does not contain.
        redraw: draws the split again when the images are read and show which patients belong together
            (`semiseg.preparation.splitting`); None if the split is given.
    """

    source: Path
    layout: str
    evidence: str
    scan: Scan
    options: Options
    split: Split
    why: str
    skip_bad: bool = False
    left_out: tuple[LeftOut, ...] = ()
    redraw: Redraw | None = None

    def without(self, left_out: Collection[LeftOut]) -> "Plan":
        """The plan without cases that cannot be read, and without patients who have no others.

        Raises:
            UserError: if no labelled patient is left for training.
        """
        if not left_out:
            return self
        names = {case.left_out for case in left_out}
        cases = tuple(case for case in self.scan.cases if case.identifier not in names)
        patients = {case.patient for case in cases}
        gone = {case.patient for case in left_out} - patients
        order = self.split.labelled_order

        def staying(listed: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(patient for patient in listed if patient not in gone)

        split = self.split.model_copy(
            update={part: staying(self.split.part(part)) for part in PARTS}
            | {"labelled_order": None if order is None else staying(order)}
        )
        labelled = {case.patient for case in cases if case.has_label}
        if not labelled & set(split.train):
            raise UserError(
                "Without the images that cannot be read, no labelled patient is left for training: "
                "repair them first."
            )
        note = (
            f"{plural(len(left_out), 'image')} that cannot be read left out by --skip-bad "
            f"({listed(case.source for case in left_out)})."
        )
        scan = dataclasses.replace(self.scan, cases=cases, notes=(note, *self.scan.notes))
        return dataclasses.replace(
            self, scan=scan, split=split, left_out=(*self.left_out, *left_out)
        )

    @property
    def naming(self) -> Naming:
        """The meaning of the values of labels."""
        return self.options.naming

    @functools.cached_property
    def options_of_cases(self) -> dict[str, Any]:
        """All options that determine the arrays and the record of a case, as JSON types."""
        chosen = {
            k: v
            for k, v in dataclasses.asdict(self.options).items()
            if k not in OF_THE_SET and (k not in SPECIAL or v != SPECIAL[k])
        }
        scan = self.scan
        chosen |= chosen.pop("naming") | {
            "layout": self.layout,
            "classes": scan.classes,
            "codes": None if scan.codes is None else sorted(scan.codes.items()),
            "ignore_value_of_source": scan.ignore_value,
            "channels": scan.channels,
            "intensity": scan.intensity.model_dump(),
        }
        plain: dict[str, Any] = json.loads(json.dumps(chosen))
        return plain


def scan_source(source: Path, request: Request) -> Plan:
    """List the cases of a source and split its patients.

    Raises:
        UserError: for an invalid file or option.
    """
    layout, evidence = find_layout(source, request.layout)
    options = request.options
    _check_layout(layout, options)
    scan = layout.scan(source, options)
    why = f"usual for {_kind(scan, layout)}"
    if request.intensity is not None:
        intensity = parse_intensity(request.intensity)
        scan = dataclasses.replace(scan, intensity=intensity, by_data=False)
        why = "asked for by --intensity"
    check_cases(scan, source)
    _check_kind(scan, options)
    if options.naming.codes is not None:
        scan = dataclasses.replace(scan, classes=options.classes, codes=options.naming.codes)
    if request.split is None:
        scan = with_one_spelling(scan)
    split = _split(scan, request)
    notes = () if request.split is None else notes_on_spelling(scan, split)
    if unread := unread_labels(scan, source):
        notes = (*notes, f"{unread}.")
    notes = (*notes, *scan.notes, *_notes_on_special(source))
    scan = dataclasses.replace(scan, notes=notes)
    given = request.split is not None or scan.split is not None
    redraw = None if given else _redraw(request.parts or scan.parts, request.seed)
    return Plan(
        source, layout.name, evidence, scan, options, split, why, request.skip_bad, redraw=redraw
    )


def folders_of_series(plan: Plan) -> list[str]:
    """A line per DICOM series: its name and its folder below the source.

    Raises:
        UserError: if the source is not DICOM.
    """
    private = [case for case in plan.scan.cases if case.private]
    if not private:
        raise UserError(
            f"--show-folders is for DICOM, but this is the layout '{plan.layout}', whose messages name the "
            "files: omit it."
        )
    lines = []
    for case in private:
        places = {path.parent.relative_to(plan.source).as_posix() for path in case.files}
        lines.append(f"{case.source}: {listed(sorted(places)) or 'no file that can be read'}")
    return lines


def _redraw(fractions: Parts, seed: int) -> Redraw:
    """Draw a split whose parts do not separate groups of patients."""

    def redraw(plan: Plan, groups: Groups) -> Split:
        cases = plan.scan.cases
        labelled = [case.patient for case in cases if case.has_label]
        return make_split([case.patient for case in cases], labelled, fractions, seed, groups)

    return redraw


def _notes_on_special(source: Path) -> list[str]:
    """A note on pipes, sockets and devices among the files, which are never opened."""
    found = special_files(folder_of(source))
    if not found:
        return []
    named = listed(str(path.relative_to(folder_of(source))) for path in found)
    return [f"{plural(len(found), 'file')} left out that are pipes, sockets or devices ({named})."]


def _check_layout(layout: Layout, options: Options) -> None:
    """Check that the options for folders or for DICOM apply to the layout."""
    for name, given in (("labels", options.labels), ("class-by-folder", options.class_by_folder)):
        if given and layout.name not in FOLDERS:
            raise UserError(
                f"--{name} does not apply to the layout '{layout.name}', which says where labels are: leave "
                f"it out, or add --layout {' or --layout '.join(FOLDERS)}."
            )
    if options.all_frames and layout.name != "acdc":
        raise UserError(
            f"--all-frames is for ACDC as downloaded, but this is the layout '{layout.name}': leave it out."
        )
    if options.patient_pattern is not None and layout.name in KNOWN_PATIENTS:
        raise UserError(
            f"--patient-pattern does not apply to the layout '{layout.name}', whose patients are known: "
            "leave it out."
        )
    if options.trust_grid and layout.name == "dicom":
        raise UserError(
            "--trust-grid does not apply to DICOM, because a label without a position may be mirrored: "
            "convert the series and its label to NIfTI together."
        )
    if options.reader is not None and layout.name not in ("dicom", *FOLDERS):
        raise UserError(
            f"--reader is for DICOM-SEG and for folders of masks, but this is the layout '{layout.name}': "
            "omit it."
        )
    if options.uneven_slices != "refuse" and layout.name != "dicom":
        raise UserError(
            f"--uneven-slices is for DICOM, but this is the layout '{layout.name}': omit it."
        )


def _check_kind(scan: Scan, options: Options) -> None:
    """Check that the options apply to the kind of the source."""
    naming = options.naming
    if options.max_side != Options().max_side and scan.kind == "volumes":
        raise UserError(
            "--max-side is for pictures, since volumes are stored as they are: omit it."
        )
    if naming.empty_is_unlabelled and scan.kind == "pictures":
        raise UserError("--empty-slices is for volumes: leave out the masks of pictures instead.")
    if options.trust_grid and scan.kind == "pictures":
        raise UserError("--trust-grid is for volumes, since pictures have no position: omit it.")
    if naming.colours is not None and not is_picture(Path(scan.cases[0].source)):
        raise UserError("--classes '#...': colours are only for masks of pictures: give codes.")


def _kind(scan: Scan, layout: Layout) -> str:
    """The kind of images for which the layout's intensity scaling is usual."""
    if scan.intensity == Intensity(kind="window", low=0.0, high=255.0):
        return "pictures of 8 bits per pixel"
    generic = layout.where.startswith("anybody's own")  # the name is only that of the folder
    return "images of more than 8 bits per pixel" if generic else scan.name


def _split(scan: Scan, request: Request) -> Split:
    """The split of a file, else that of the source, else a drawn one.

    Raises:
        UserError: for a split that does not fit the patients, or ``parts`` that would have no effect.
    """
    patients = list(dict.fromkeys(case.patient for case in scan.cases))
    labelled = list(dict.fromkeys(case.patient for case in scan.cases if case.has_label))
    if request.parts is not None and (request.split is not None or scan.split is not None):
        given = "--split" if request.split is not None else "that of the source"
        raise UserError(
            f"--parts is for a random split, but {given} is used: leave out --parts"
            f"{', or --split' if request.split is not None else ''}."
        )
    if request.split is not None:
        split = read_split(presets.split_file(str(request.split)), patients, labelled)
    else:
        parts = request.parts or scan.parts
        split = scan.split or make_split(patients, labelled, parts, request.seed)
        check_split(split, patients, f"The split ({split.origin})")
    if not set(split.train) & set(labelled):
        raise UserError(
            f"The split ({split.origin}) leaves no labelled patient for training: "
            "move one there, or give a file with --split."
        )
    return split
