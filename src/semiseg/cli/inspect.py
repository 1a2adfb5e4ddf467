"""``semiseg inspect``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def inspect(
    data: Annotated[
        Path, typer.Argument(help="A prepared data set, or a folder of images in any layout.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="New folder for page.html, inspect.json and cases.csv. Default: only print.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="Side of the network's input in pixels. Default: chosen from the data."),
    ] = None,
    layout: options.Layout = None,
    classes: options.Classes = None,
    patient_pattern: options.PatientPattern = None,
    spacing: options.Spacing = None,
    split: options.Split = None,
    parts: options.Parts = None,
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
    json: Annotated[bool, typer.Option("--json", help="Print only JSON.")] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Describe a data set and warn about possible errors in it.

    Prints counts, cases, classes, intensities and the upper bound of Dice at the input size. Warns about
    duplicates, unusual labels, mixed orientations, spacings or intensities, and tiny structures.
    A folder of images is first prepared in a temporary folder; the options from --layout to --trust-grid are
    those of 'semiseg prepare'.
    """  # fmt: skip
    from semiseg.workflows.inspect import inspect as workflow

    workflow(
        data, out, size=size, json=json, overwrite=overwrite,
        layout=layout, classes=options.words(classes, "--classes") or None, patient_pattern=patient_pattern,
        spacing=options.spacing(spacing), split=split, parts=options.parts(parts), max_side=max_side,
        intensity=intensity, all_frames=all_frames, ignore_value=ignore_value, empty_slices=empty_slices,
        reader=reader, uneven_slices=uneven_slices, skip_bad=skip_bad, labels=labels,
        class_by_folder=class_by_folder, trust_grid=trust_grid,
    )  # fmt: skip
