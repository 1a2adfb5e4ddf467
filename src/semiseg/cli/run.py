"""``semiseg run``."""

from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from semiseg.cli import options


def run(
    source: Annotated[Path, typer.Argument(help="A folder of images in any supported layout.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    labelled: options.Labelled = "all",
    method: Annotated[
        str | None,
        typer.Option(
            help="A method (see 'semiseg methods'), or auto, the recommended one. Default: the preset's, "
            "else auto."
        ),
    ] = None,
    preset: options.Preset = None,
    settings: options.Settings = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Duration of the whole command, which the trainings fill: 2h, 30m. Default: the "
            "preset's iterations."
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Folds of a cross-validation by patient; 0: none. Default: 3 to 5 with three to nine "
            "labelled patients, none with more."
        ),
    ] = None,
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help="Start from random weights although the folder contains an earlier round.",
        ),
    ] = False,
    layout: options.Layout = None,
    classes: options.Classes = None,
    patient_pattern: options.PatientPattern = None,
    spacing: options.Spacing = None,
    split: options.Split = None,
    parts: options.Parts = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=options.SEEDS, help="Seed of the random split and of the training."
        ),
    ] = 0,
    max_side: options.MaxSide = 512,
    intensity: options.Intensity = None,
    all_frames: options.AllFrames = False,
    ignore_value: options.IgnoreValue = None,
    empty_slices: options.EmptySlices = "background",
    reader: options.Reader = None,
    uneven_slices: options.UnevenSlices = "refuse",
    skip_bad: options.SkipBad = False,
    labels: options.Labels = None,
    class_by_folder: options.ClassByFolder = False,
    trust_grid: options.TrustGrid = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what would be done and how long it takes; write nothing."
        ),
    ] = False,
) -> None:
    """Do all steps: prepare a folder of images, train, evaluate, segment unlabelled images, report.

    To resume an interrupted run, run the same command again. After you have added or corrected labels or
    images, the same command trains again from the earlier weights and shows both scores.
    """
    begun = monotonic()  # imports count
    from semiseg.workflows.run import run as workflow

    workflow(
        source, out, labelled=labelled, method=method, preset=preset, settings=settings or (),
        seconds=options.seconds(time), folds=folds, from_scratch=from_scratch, seed=seed, device=device,
        threads=threads, dry_run=dry_run, begun=begun,
        layout=layout, classes=options.words(classes, "--classes") or None, patient_pattern=patient_pattern,
        spacing=options.spacing(spacing), split=split, parts=options.parts(parts), max_side=max_side,
        intensity=intensity, all_frames=all_frames, ignore_value=ignore_value, empty_slices=empty_slices,
        reader=reader, uneven_slices=uneven_slices,
        skip_bad=skip_bad,
        labels=labels, class_by_folder=class_by_folder, trust_grid=trust_grid,
    )  # fmt: skip
