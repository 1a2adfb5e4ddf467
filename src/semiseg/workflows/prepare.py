"""``semiseg prepare``: from a folder of images to a prepared data set.

Every case is read once, checked and written, with one case in memory at a time.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg import presets
from semiseg.data.images.names import PICTURE_SUFFIXES, suffix_of
from semiseg.data.images.nifti import orientation
from semiseg.data.layouts import check_source, detect, named
from semiseg.data.layouts.base import Options, Scan, SourceCase
from semiseg.data.layouts.naming import (
    notes_on_drawing,
    own_codes,
    read_naming,
    slices_without_drawing,
    without_empty_slices,
)
from semiseg.data.manifest import PARTS, Case, Manifest, Split
from semiseg.data.splits import check_split, counted, make_split, plural, read_split
from semiseg.data.store import DataWriter, check_output, leftovers
from semiseg.data.task import NOT_DRAWN, Task, bounds_of
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.reporting.console import Console
from semiseg.workflows.stopping import listening


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    layout: str | None = None,
    classes: Sequence[str] | None = None,
    patient_pattern: str | None = None,
    spacing: tuple[float, float, float] | None = None,
    split: Path | str | None = None,
    parts: tuple[float, float, float] | None = None,
    seed: int = 0,
    max_side: int = 512,
    all_frames: bool = False,
    not_drawn: str | int | None = None,
    undrawn_slices: str = "background",
    overwrite: bool = False,
    dry_run: bool = False,
    console: Console | None = None,
) -> Manifest:
    """Read a source in any supported layout and write a prepared data set.

    Args:
        source: the folder of images.
        out: the folder to write; it appears only once it is whole.
        layout: its name; default: recognised by itself.
        classes: names of the classes without the background, or CODE=NAME or #rrggbb=NAME each;
            default: what the source says.
        patient_pattern: regular expression whose first group (or match) is an image's patient.
        spacing: (slice, row, column) in mm, in place of what the files say.
        split: a JSON file of patients, or the name of a split ('acdc-papers'); default: the source's
            split, else drawn by ``seed``.
        parts: training, validation and test parts of a drawn split; default: the layout's.
        seed: of the drawn split.
        max_side: larger pictures are reduced to this longer side, in pixels.
        all_frames: of a time series, also the frames without annotation, as unlabelled images.
        not_drawn: the value (1 to 255) or the colour (#rrggbb) in labels of what nobody drew, which
            counts in no loss and no metric; 'none': there is none. Default: 255 where it is no class.
        undrawn_slices: of labelled volumes, slices without any structure are 'background' or
            'unlabelled': nobody drew there.
        overwrite: replace a prepared data set at ``out`` once the new one is whole.
        dry_run: read and check everything, print the same, write nothing.
        console: where sentences and progress go.

    Returns:
        The manifest that was (or would be) written.

    Raises:
        UserError: naming the file or option that does not fit; what existed is then untouched.
    """
    source, out, console = Path(source), Path(out), console or Console()
    if spacing is not None and not (len(spacing) == 3 and all(0 < s < np.inf for s in spacing)):
        raise UserError("--spacing takes three distances in mm above 0: slice, row, column.")
    if undrawn_slices not in ("background", "unlabelled"):
        raise UserError(f"--undrawn-slices {undrawn_slices}: take background or unlabelled.")
    names, naming = read_naming(classes, not_drawn)
    check_source(source)
    check_output(out, source, overwrite=overwrite)
    if layout is None:
        chosen, evidence = detect(source)
    else:
        chosen, evidence = named(layout), "as asked for"
    options = Options(names, patient_pattern, spacing, max_side, all_frames, naming)
    scan = chosen.scan(source, options)
    _check_cases(scan, source)
    if naming.codes is not None:
        scan = dataclasses.replace(scan, classes=names, codes=naming.codes)
    if undrawn_slices == "unlabelled" and scan.kind == "pictures":
        raise UserError("--undrawn-slices is for volumes: leave out the masks of pictures instead.")
    if naming.colours is not None and suffix_of(Path(scan.cases[0].source)) not in PICTURE_SUFFIXES:
        raise UserError("--classes '#...': colours name classes in masks of pictures: give codes.")
    divided = _split(scan, split, parts, seed)
    console.say(f"{source}: layout '{chosen.name}' ({evidence})")
    tally = _Tally(scan, spacing, naming.not_drawn, undrawn_slices == "unlabelled")
    if dry_run:
        _read_all(scan, tally, None, console)
        manifest = tally.manifest(chosen.name, divided, source)
        _describe(manifest, tally, console)
        console.say(f"Dry run: every image was read and checked; {out} was not written.")
        return manifest
    for left in leftovers(out):
        console.warn(f"{left} was left by an interrupted preparation and may be deleted.")
    with DataWriter(out) as writer:
        _read_all(scan, tally, writer, console)
        manifest = tally.manifest(chosen.name, divided, source)
        size = writer.finish(manifest)
    _describe(manifest, tally, console)
    console.say(f"Written to {out} ({size / 1e6:,.1f} MB).")
    return manifest


def _read_all(scan: Scan, tally: "_Tally", writer: DataWriter | None, console: Console) -> None:
    # a KeyboardInterrupt that falls into one of HDF5's callbacks would be lost
    with (
        listening() as stop,
        console.bar("checking" if writer is None else "preparing", len(scan.cases)) as bar,
    ):
        for case in scan.cases:
            volume = tally.recoded(case, case.read())
            tally.add(case, volume)
            if writer is not None:
                writer.add(case.identifier, volume)
            bar.advance()
            stop.pass_on()


def _check_cases(scan: Scan, source: Path) -> None:
    if not scan.cases:
        raise UserError(f"{source} holds no image of this layout: check the path or --layout.")
    seen: dict[str, str] = {}
    for case in scan.cases:
        other = seen.setdefault(case.identifier, case.source)
        if other != case.source:
            raise UserError(
                f"{source}: {other} and {case.source} have the same identifier "
                f"'{case.identifier}': rename one of them."
            )
    if len(seen) < len(scan.cases):
        twice = next(name for name, n in Counter(c.identifier for c in scan.cases).items() if n > 1)
        raise UserError(f"{source}: '{twice}' is listed twice: name each image once.")
    if not any(case.has_label for case in scan.cases):
        raise UserError(
            f"{source} has {plural(len(scan.cases), 'image')} but no label at all: add at least one, "
            "named like its image, in a folder 'labels' (or 'masks')."
        )


def _split(
    scan: Scan,
    path: Path | str | None,
    parts: tuple[float, float, float] | None,
    seed: int,
) -> Split:
    patients = list(dict.fromkeys(case.patient for case in scan.cases))
    labelled = list(dict.fromkeys(case.patient for case in scan.cases if case.has_label))
    if path is not None:
        split = read_split(presets.split_file(str(path)), patients, labelled)
    else:
        split = scan.split or make_split(patients, labelled, parts or scan.parts, seed)
        check_split(split, patients, f"The split ({split.origin})")
    if not set(split.train) & set(labelled):
        raise UserError(
            f"The split ({split.origin}) leaves no labelled patient for training: "
            "move one there, or give a file with --split."
        )
    return split


class _Tally:
    """What is known of the cases read so far."""

    def __init__(
        self,
        scan: Scan,
        spacing: tuple[float, float, float] | None,
        not_drawn: int | None,
        empty_is_undrawn: bool,
    ) -> None:
        self.scan = scan
        self.not_drawn, self.empty_is_undrawn = not_drawn, empty_is_undrawn
        self.spacing = spacing
        self.cases: list[Case] = []
        self.voxels: NDArray[np.int64] = np.zeros(256, np.int64)
        self.channels: int | None = None
        self._highest = (0, "")
        self._unnamed: set[int] = set()

    def recoded(self, case: SourceCase, volume: Volume) -> Volume:
        """The volume with class codes of its own set's numbering; without a label that says nothing."""
        if volume.label is None:
            return volume
        label, unnamed = own_codes(volume.label, self.scan.codes, self.not_drawn, case.source)
        self._unnamed.update(unnamed)
        if self.empty_is_undrawn:
            label = without_empty_slices(label)
        drawn = bool((label != NOT_DRAWN).any())
        return dataclasses.replace(volume, label=label if drawn else None)

    def add(self, case: SourceCase, volume: Volume) -> None:
        """Check one case against the others and remember its geometry and statistics."""
        depth, channels, height, width = volume.image.shape
        if self.channels is not None and channels != self.channels:
            raise UserError(
                f"{case.source} has {channels} channels but the images before it have "
                f"{self.channels}: leave it out or convert it."
            )
        self.channels = channels
        if volume.label is not None:
            if volume.label.shape != (depth, height, width):
                raise UserError(
                    f"{case.source}: image and label differ in shape: export them again."
                )
            counts = np.bincount(volume.label.ravel(), minlength=256)
            self.voxels += counts
            self._check_codes(case, int(np.flatnonzero(counts[:NOT_DRAWN])[-1]))
        affine = volume.affine
        self.cases.append(
            Case(
                identifier=case.identifier,
                patient=case.patient,
                shape=(depth, channels, height, width),
                labelled=volume.label is not None,
                bounds=bounds_of(volume.image, self.scan.intensity),
                # a picture that was reduced knows better than --spacing, which is of the file
                spacing=(self.scan.kind == "pictures" and volume.spacing)
                or self.spacing
                or volume.spacing,
                affine=None if affine is None else tuple(tuple(row) for row in affine.tolist()),
                slice_axis=volume.slice_axis,
                source=case.source,
                undrawn=() if volume.label is None else slices_without_drawing(volume.label),
            )
        )

    def _check_codes(self, case: SourceCase, highest: int) -> None:
        classes = self.scan.classes
        if classes is not None and highest >= len(classes):
            raise UserError(
                f"The label of {case.source} holds class code {highest}, but there are only "
                f"{len(classes)} classes ({', '.join(classes)}): "
                "correct it or name all with --classes (3=liver,7=tumour gives codes)."
            )
        self._highest = max(self._highest, (highest, case.source))

    def classes(self) -> tuple[str, ...]:
        """The named classes, or as many as the labels hold."""
        highest, where = self._highest
        if highest == 0:
            raise UserError(
                "The labels mark nothing (every voxel is background, or 255 and so not drawn): where "
                "255 is a class, name it with --classes 255=NAME."
                if self.voxels[NOT_DRAWN]
                else "The labels mark nothing (every voxel is background): check their values."
            )
        if self.scan.classes is not None:
            return self.scan.classes
        absent = [code for code in range(highest) if self.voxels[code] == 0 and code > 0]
        if absent:
            raise UserError(
                f"The label of {where} holds class code {highest}, but code {absent[0]} "
                f"occurs nowhere: name those that occur, such as --classes {highest}=NAME, or number "
                "them 1, 2, 3, ..."
            )
        if highest == 1 and self.scan.kind == "pictures":
            return ("background", "foreground")
        return ("background", *(f"class {code}" for code in range(1, highest + 1)))

    def manifest(self, layout: str, split: Split, source: Path) -> Manifest:
        """The prepared data set's description."""
        shapes = np.array([(c.shape[0], *c.shape[2:]) for c in self.cases])
        spacings = [case.spacing for case in self.cases if case.spacing is not None]
        median = tuple(int(value) for value in np.median(shapes, axis=0))
        middle = tuple(float(f"{s:.6g}") for s in np.median(spacings, axis=0)) if spacings else None
        classes = self.classes()
        task = Task(
            name=self.scan.name,
            kind=self.scan.kind,
            channels=self.channels or 1,
            classes=classes,
            intensity=self.scan.intensity,
            median_shape=(median[0], median[1], median[2]),
            spacing=None if middle is None else (middle[0], middle[1], middle[2]),
        )
        notes = (*self.scan.notes, *self.scan.afterwards(), *self._notes(classes, split))
        return Manifest(task=task, layout=layout, split=split, cases=tuple(self.cases), notes=notes)

    def _notes(self, classes: tuple[str, ...], split: Split) -> list[str]:
        notes = []
        if self._unnamed:
            listed = ", ".join(str(code) for code in sorted(self._unnamed))
            notes.append(f"codes that no class names count as background: {listed}.")
        undrawn = sum(len(case.undrawn) for case in self.cases)
        notes += notes_on_drawing(self.voxels, undrawn, self.scan.kind == "pictures")
        for code, name in enumerate(classes):
            if self.voxels[code] == 0:
                notes.append(f"class '{name}' (code {code}) occurs in no label.")
        orientations = Counter(orientation(np.array(c.affine)) for c in self.cases if c.affine)
        if len(orientations) > 1:
            listed = ", ".join(f"{name} {n}" for name, n in orientations.most_common())
            notes.append(
                f"the images are stored in different orientations ({listed}): usual for oblique scans; "
                "for others check that all images lie the same way."
            )
        axes = Counter(case.slice_axis for case in self.cases)
        if len(axes) > 1:
            listed = ", ".join(f"axis {axis} in {n}" for axis, n in sorted(axes.items()))
            notes.append(f"the slices lie along different axes of the files: {listed}.")
        outside = {case.patient for case in self.cases}.difference(*(split.part(p) for p in PARTS))
        if outside:
            notes.append(
                f"in no part of the split, and so unused: {plural(len(outside), 'patient')}."
            )
        return notes


def _describe(manifest: Manifest, tally: _Tally, console: Console) -> None:
    task, cases = manifest.task, manifest.cases
    shares = tally.voxels[: len(task.classes)] / max(int(tally.voxels[:NOT_DRAWN].sum()), 1)
    listed = ", ".join(
        f"{name} {100 * share:.3g}%" for name, share in zip(task.classes, shares, strict=True)
    )
    console.say(f"  classes: {listed} of the labelled {'pixels' if _flat(manifest) else 'voxels'}")
    console.say(f"  found: {counted(cases, task.kind)}")
    heights, widths = [c.shape[2] for c in cases], [c.shape[3] for c in cases]
    size = f"{_range(heights)} x {_range(widths)} pixels"
    if not _flat(manifest):
        size += f", {_range([c.slices for c in cases])} slices a volume"
    channels = f"{task.channels} channel{'s' if task.channels > 1 else ''}"
    console.say(f"  size: {size}, {channels}")
    console.say(f"  spacing: {_spacing(manifest)}")
    for word, labelled in (("labelled", True), ("unlabelled", False)):
        chosen = [case for case in cases if case.labelled is labelled]
        console.say(f"  {word}: {counted(chosen, task.kind) if chosen else 'none'}")
    console.say(f"  split ({manifest.split.origin}):")
    for part in PARTS:
        patients = set(manifest.split.part(part))
        inside = [case for case in cases if case.patient in patients]
        bare = sum(not case.labelled for case in inside)
        tail = f", {bare:,} of them unlabelled" if bare else ""
        console.say(f"    {part}: {counted(inside, task.kind) + tail if inside else 'none'}")
    for note in manifest.notes:
        console.warn(note)


def _flat(manifest: Manifest) -> bool:
    return manifest.task.kind == "pictures"


def _spacing(manifest: Manifest) -> str:
    spacings = [case.spacing for case in manifest.cases if case.spacing is not None]
    if not spacings:
        return "none in these files, so distances will be in pixels (--spacing sets it)"
    axes = " x ".join(_range([spacing[axis] for spacing in spacings]) for axis in range(3))
    missing = len(manifest.cases) - len(spacings)
    return f"{axes} mm (slice x row x column)" + (f", none in {missing:,} files" if missing else "")


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low}-{high}"
