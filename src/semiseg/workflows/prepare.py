"""``semiseg prepare``: from a folder of images to a prepared data set.

Every case is read once, checked, measured and written by one of a few threads, so that no more than a few
cases are in memory at a time.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from semiseg import presets
from semiseg.console import Console
from semiseg.data.manifest import Manifest, Split
from semiseg.data.splits import check_split, make_split, read_split
from semiseg.data.task import Intensity
from semiseg.datasets import check_source, detect, named
from semiseg.datasets.base import Layout, Options, Scan
from semiseg.datasets.checks import check_cases
from semiseg.datasets.naming import read_naming
from semiseg.errors import UserError
from semiseg.formats import is_picture
from semiseg.preparation.auto_config import parse_intensity
from semiseg.preparation.changes import difference, find_before, options_of_cases, still_true
from semiseg.preparation.description import describe
from semiseg.preparation.manifest_builder import ManifestBuilder
from semiseg.preparation.ordered_map import default_jobs
from semiseg.preparation.reading import read_cases
from semiseg.preparation.store import DataWriter, check_output
from semiseg.text import one_line, plural


class Reading(TypedDict, total=False):
    """How `prepare` reads a source: its options of these names."""

    layout: str | None
    classes: Sequence[str] | None
    patient_pattern: str | None
    spacing: tuple[float, float, float] | None
    split: Path | str | None
    parts: tuple[float, float, float] | None
    max_side: int
    intensity: str | None
    all_frames: bool
    ignore_value: str | int | None
    empty_slices: str


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
    intensity: str | None = None,
    all_frames: bool = False,
    jobs: int | None = None,
    ignore_value: str | int | None = None,
    empty_slices: str = "background",
    overwrite: bool = False,
    dry_run: bool = False,
    console: Console | None = None,
) -> Manifest:
    """Read a source in any supported layout and write a prepared data set.

    Where ``out`` holds what the source and the options make, nothing is done. An interrupted preparation
    keeps its whole cases in a hidden folder beside ``out``, and the next with the same options goes on.

    Args:
        source: the folder of images, or a list of them (.csv, .json).
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
        intensity: 'minmax', 'percentile', 'zscore' or 'window:LOW:HIGH'; default: the layout's, or what the
            data suggest.
        all_frames: of a time series, also the frames without annotation, as unlabelled images.
        jobs: cases read at a time; default: the number of cores up to 8, 1 for a tiny set. The result
            does not depend on it.
        ignore_value: the value (1 to 255) or the colour (#rrggbb) of ignored pixels in labels, which
            count in no loss and no metric; 'none': there is none. Default: 255 where it is no class.
        empty_slices: of labelled volumes, slices without any structure are 'background' or
            'unlabelled', that is ignored.
        overwrite: replace a prepared data set at ``out`` once the new one is whole; where some of its
            cases are still true, only the others are read.
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
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs {jobs}: give a number of cases to read at a time, 1 or more.")
    if empty_slices not in ("background", "unlabelled"):
        raise UserError(f"--empty-slices {empty_slices}: take background or unlabelled.")
    names, naming = read_naming(classes, ignore_value)
    naming = dataclasses.replace(naming, empty_is_unlabelled=empty_slices == "unlabelled")
    check_source(source, layout)
    check_output(out, source)
    if layout is None:
        chosen, evidence = detect(source)
    else:
        chosen, evidence = named(layout), "as asked for"
    options = Options(names, patient_pattern, spacing, max_side, all_frames, naming)
    scan = chosen.scan(source, options)
    why = f"usual for {_kind(scan, chosen)}"
    if intensity is not None:
        scan = dataclasses.replace(scan, intensity=parse_intensity(intensity), by_data=False)
        why = "asked for by --intensity"
    check_cases(scan, source)
    if naming.codes is not None:
        scan = dataclasses.replace(scan, classes=names, codes=naming.codes)
    if naming.empty_is_unlabelled and scan.kind == "pictures":
        raise UserError("--empty-slices is for volumes: leave out the masks of pictures instead.")
    if naming.colours is not None and not is_picture(Path(scan.cases[0].source)):
        raise UserError("--classes '#...': colours name classes in masks of pictures: give codes.")
    divided = _split(scan, split, parts, seed)
    console.say(f"{source}: layout '{chosen.name}' ({one_line(evidence)})")
    of_cases = options_of_cases(chosen.name, options, scan)
    before = find_before(out)
    known = before.usable(scan, source, of_cases) if before else {}
    if before is not None:
        changed = difference(before, known, scan, divided, of_cases)
        if changed is None and not overwrite:
            console.say(
                f"{out} holds {plural(len(scan.cases), 'image')} of this source, unchanged: nothing to do."
            )
            return before.manifest
        if not overwrite:
            only = " (which reads only what has changed)" if known else ""
            raise UserError(
                f"{out} exists, and {changed}: take --overwrite to prepare it again{only}, or choose "
                "another folder."
            )
        if changed is None:
            known = {}  # whoever insists has a reason
    builder = ManifestBuilder(scan, spacing, why)
    jobs = jobs or default_jobs(len(scan.cases))
    if dry_run:
        read_cases(scan, source, naming, builder, None, {}, jobs, console)
        manifest = builder.manifest(chosen.name, divided)
        describe(manifest, builder.voxels, console)
        console.say(f"Dry run: every image was read and checked; {out} was not written.")
        return manifest
    with DataWriter(out, of_cases) as writer:
        if writer.thrown_away:
            console.warn(
                f"{writer.partial} was left by an interrupted preparation with other options "
                f"({', '.join(writer.thrown_away)}) and is replaced."
            )
        kept = still_true(writer.kept, scan, source)
        if kept:
            console.say(f"continuing: {len(kept)} of {len(scan.cases)} cases were prepared already")
        if before is not None:
            taken = {
                n: r for n, r in known.items() if n not in kept and writer.take(r, before.folder)
            }
            if taken:
                console.say(
                    f"taking over: {len(taken)} of {len(scan.cases)} cases have not changed"
                )
            kept |= taken
        try:
            read_cases(scan, source, naming, builder, writer, kept, jobs, console)
            manifest = builder.manifest(chosen.name, divided)
            size = writer.finish(manifest)
        except BaseException as error:
            if writer.keeps(error):
                console.warn(
                    f"{plural(writer.whole_cases, 'whole case')} stay in {writer.partial}: the same "
                    "command goes on from there."
                )
            raise
    describe(manifest, builder.voxels, console)
    console.say(f"Written to {out} ({size / 1e6:,.1f} MB).")
    return manifest


def _kind(scan: Scan, layout: Layout) -> str:
    """Of what a layout's way to scale intensities is the usual one."""
    if scan.intensity == Intensity(kind="window", low=0.0, high=255.0):
        return "pictures of 8 bits a pixel"
    own = layout.where.startswith("anybody's own")  # its name is the folder's, and says nothing
    return "images of more than 8 bits a pixel" if own else scan.name


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
