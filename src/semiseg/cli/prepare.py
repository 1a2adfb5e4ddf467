"""``semiseg prepare``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options
from semiseg.errors import UserError


def prepare(
    source: Annotated[
        Path, typer.Argument(help="A folder of images in any supported layout, or a list.")
    ],
    out: options.Out,
    layout: options.Layout = None,
    classes: options.Classes = None,
    patient_pattern: options.PatientPattern = None,
    spacing: options.Spacing = None,
    split: options.Split = None,
    parts: Annotated[
        str | None,
        typer.Option(help="Of a drawn split: training,validation,test. Default: 0.7,0.1,0.2."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the drawn split.")] = 0,
    max_side: options.MaxSide = 512,
    intensity: Annotated[
        str | None,
        typer.Option(
            help="minmax, percentile, zscore or window:LOW:HIGH. Default: what the data suggest."
        ),
    ] = None,
    all_frames: Annotated[
        bool,
        typer.Option(
            "--all-frames", help="ACDC: frames without annotation too, as unlabelled images."
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Cases to read at a time. Default: the cores, 8 at most."),
    ] = None,
    not_drawn: options.NotDrawn = None,
    undrawn_slices: options.UndrawnSlices = "background",
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
) -> None:
    """Turn a folder of images and masks into a prepared data set.

    An image without a mask is an unlabelled image, the normal case. An interrupted preparation goes on
    with the same command; one that is up to date is left alone.
    """
    from semiseg.workflows.prepare import prepare as workflow

    workflow(
        source, out, layout=layout, classes=options.words(classes) or None,
        patient_pattern=patient_pattern, spacing=options.spacing(spacing), split=split,
        parts=_parts(parts), seed=seed,
        max_side=max_side, intensity=intensity, all_frames=all_frames, jobs=jobs,
        not_drawn=not_drawn, undrawn_slices=undrawn_slices, overwrite=overwrite, dry_run=dry_run,
    )  # fmt: skip


def _parts(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        train, validation, test = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--parts {text}: give three parts of 1, such as 0.6,0.2,0.2.") from None
    return train, validation, test
