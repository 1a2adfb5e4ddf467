"""``semiseg prepare``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def prepare(
    source: Annotated[
        Path,
        typer.Argument(help="A folder of images in any supported layout, or a .csv or .json list."),
    ],
    out: options.Out,
    layout: options.Layout = None,
    classes: options.Classes = None,
    patient_pattern: options.PatientPattern = None,
    spacing: options.Spacing = None,
    split: options.Split = None,
    parts: options.Parts = None,
    seed: Annotated[
        int, typer.Option(min=0, max=options.SEEDS, help="Seed of the random split.")
    ] = 0,
    max_side: options.MaxSide = 512,
    intensity: options.Intensity = None,
    all_frames: options.AllFrames = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            help="Cases to read at the same time. Default: the number of cores, at most 8.",
        ),
    ] = None,
    ignore_value: options.IgnoreValue = None,
    empty_slices: options.EmptySlices = "background",
    reader: options.Reader = None,
    uneven_slices: options.UnevenSlices = "refuse",
    skip_bad: options.SkipBad = False,
    labels: options.Labels = None,
    class_by_folder: options.ClassByFolder = False,
    trust_grid: options.TrustGrid = None,
    show_folders: Annotated[
        bool,
        typer.Option(
            "--show-folders",
            help="Print the folder of each DICOM series, which may contain the name of a person.",
        ),
    ] = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
) -> None:
    """Convert a folder of images and masks to a prepared data set.

    An image without a mask is an unlabelled image. To resume an interrupted preparation, run the same
    command again. A data set that is up to date is not changed.
    """
    from semiseg.workflows.prepare import prepare as workflow

    workflow(
        source, out, layout=layout, classes=options.words(classes, "--classes") or None,
        patient_pattern=patient_pattern, spacing=options.spacing(spacing), split=split,
        parts=options.parts(parts), seed=seed,
        max_side=max_side, intensity=intensity, all_frames=all_frames, jobs=jobs,
        ignore_value=ignore_value, empty_slices=empty_slices, reader=reader,
        uneven_slices=uneven_slices, skip_bad=skip_bad, labels=labels, class_by_folder=class_by_folder,
        trust_grid=trust_grid, show_folders=show_folders, overwrite=overwrite, dry_run=dry_run,
    )  # fmt: skip
