"""``semiseg run``."""

from pathlib import Path
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
            help="A method (see 'semiseg methods'). Default: mcsc if there are unlabelled images, "
            "else supervised."
        ),
    ] = None,
    preset: options.Preset = None,
    settings: options.Settings = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Approximate duration of the training: 2h, 30m. Default: the preset's iterations."
        ),
    ] = None,
    layout: options.Layout = None,
    classes: options.Classes = None,
    patient_pattern: options.PatientPattern = None,
    spacing: options.Spacing = None,
    split: options.Split = None,
    parts: options.Parts = None,
    seed: Annotated[int, typer.Option(help="Seed of the random split and of the training.")] = 0,
    max_side: options.MaxSide = 512,
    intensity: options.Intensity = None,
    all_frames: options.AllFrames = False,
    ignore_value: options.IgnoreValue = None,
    empty_slices: options.EmptySlices = "background",
    reader: options.Reader = None,
    uneven_slices: options.UnevenSlices = "refuse",
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Do all steps: prepare a folder of images, train, evaluate, segment unlabelled images, report.

    To resume an interrupted run, run the same command again.
    """
    from semiseg.workflows.run import run as workflow

    workflow(
        source, out, labelled=labelled, method=method, preset=preset, settings=settings or (),
        seconds=options.seconds(time), seed=seed, device=device, threads=threads,
        layout=layout, classes=options.words(classes) or None, patient_pattern=patient_pattern,
        spacing=options.spacing(spacing), split=split, parts=options.parts(parts), max_side=max_side,
        intensity=intensity, all_frames=all_frames, ignore_value=ignore_value, empty_slices=empty_slices,
        reader=reader, uneven_slices=uneven_slices,
    )  # fmt: skip
