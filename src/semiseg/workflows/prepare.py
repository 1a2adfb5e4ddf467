"""``semiseg prepare``: convert a folder of images to a prepared data set.

A few threads read, check, measure and write the cases, each case once. Only a few cases are in memory at a
time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from semiseg.console import Console
from semiseg.data.manifest import Manifest
from semiseg.datasets import check_source
from semiseg.errors import UserError
from semiseg.locking import tidy
from semiseg.preparation.changes import find_earlier
from semiseg.preparation.ordered_map import default_jobs
from semiseg.preparation.scanning import Request, folders_of_series, scan_source
from semiseg.preparation.store import check_output
from semiseg.preparation.writing import check_set, write_set
from semiseg.text import one_line, plural


class ReadOptions(TypedDict, total=False):
    """The options of `prepare` that control how a source is read."""

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
    reader: str | None
    uneven_slices: str
    skip_bad: bool
    labels: str | None
    class_by_folder: bool
    trust_grid: str | None


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
    reader: str | None = None,
    uneven_slices: str = "refuse",
    skip_bad: bool = False,
    labels: str | None = None,
    class_by_folder: bool = False,
    trust_grid: str | None = None,
    show_folders: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    console: Console | None = None,
) -> Manifest:
    """Read a source in any supported layout and write a prepared data set.

    If the data set in ``out`` is up to date with the source and the options, nothing is written. An
    interrupted preparation keeps its completed cases in a hidden folder beside ``out``; the next call with
    the same options resumes it.

    Args:
        source: the folder of images, or a list of them (.csv, .json).
        out: the folder to write. It is created only when the data set is complete.
        layout: name of the layout; default: detected.
        classes: names of the classes without the background, or CODE=NAME or #rrggbb=NAME each;
            default: as in the source.
        patient_pattern: regular expression whose first group (or match) is an image's patient.
        spacing: (slice, row, column) in mm; default: as in the files.
        split: a JSON file of patients, or the name of a split ('acdc-papers'); default: the source's
            split, else a random one.
        parts: fractions of training, validation and test patients in a random split; default: the
            layout's.
        seed: seed of the random split.
        max_side: larger pictures are reduced to this longer side, in pixels.
        intensity: 'minmax', 'percentile', 'zscore' or 'window:LOW:HIGH'; default: the layout's, or chosen
            from the data.
        all_frames: also read the frames of a time series that have no annotation, as unlabelled images.
        jobs: cases read at the same time; default: the number of cores, at most 8, and 1 for a tiny set.
            The result does not depend on it.
        ignore_value: the value (1 to 255) or the colour (#rrggbb) of ignored pixels in labels, which
            enter no loss and no metric, or 'none'. Default: 255, unless it is a class.
        empty_slices: 'background' or 'unlabelled' (ignored): how to treat slices of labelled volumes
            that contain no structure.
        reader: take only the masks that this person has drawn, with this name in that of the mask or of
            its folder, or in ContentCreatorName or OperatorsName of DICOM-SEG.
        uneven_slices: 'refuse' or 'resample' (to the smallest distance): how to treat DICOM series whose
            slices are at uneven distances.
        skip_bad: leave out images that cannot be read, or whose label cannot be, and say so. Otherwise
            all of them are named in one error.
        labels: the folder of the labels (a path below the source, or a name at any depth), or the ending
            of their names; default: recognised by the names of folders and files.
        class_by_folder: the folder of an image, such as 'malignant', is the class of its mask.
        trust_grid: 'image': labels of the shape of their image are on its grid, whatever their headers
            say; default: another grid is refused.
        show_folders: print the folder of each DICOM series, which may contain the name of a person. It is
            not stored.
        overwrite: replace a prepared data set at ``out`` when the new one is complete. Cases that did
            not change are not read again.
        dry_run: read and check everything and print the result, but write nothing.
        console: prints messages and progress.

    Returns:
        The manifest that was (or would be) written.

    Raises:
        UserError: if a file or an option is invalid. Existing files are then unchanged.
    """
    source, out, console = Path(source), Path(out), console or Console()
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs {jobs}: give a number of 1 or more.")
    request = Request(
        layout=layout, classes=classes, patient_pattern=patient_pattern, spacing=spacing, split=split,
        parts=parts, seed=seed, max_side=max_side, intensity=intensity, all_frames=all_frames,
        ignore_value=ignore_value, empty_slices=empty_slices,
        reader=reader, uneven_slices=uneven_slices, skip_bad=skip_bad, labels=labels,
        class_by_folder=class_by_folder, trust_grid=trust_grid,
    )  # fmt: skip
    check_source(source, layout)
    check_output(out, source)
    plan = scan_source(source, request)
    if seed and plan.redraw is None:
        given = "--split" if split is not None else "the source"
        raise UserError(
            f"--seed {seed} is for a random split, but {given} gives the split: leave out --seed."
        )
    console.info(f"{source}: layout '{plan.layout}' ({one_line(plan.evidence)})")
    if show_folders:
        for line in folders_of_series(plan):
            console.info(line)
    earlier = find_earlier(out, plan)
    if earlier is not None and not overwrite:
        if earlier.changed is not None:
            raise earlier.refusal(out)
        images = plural(len(plan.scan.cases), "image")
        console.info(f"{out} holds {images} of this source, unchanged: nothing to do.")
        if not dry_run:
            tidy(out)
        return earlier.before.manifest
    jobs = jobs or default_jobs(len(plan.scan.cases))
    if dry_run:
        return check_set(plan, out, jobs, console)
    return write_set(plan, out, earlier, jobs, console)
