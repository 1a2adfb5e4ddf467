"""``semiseg predict``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def predict(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    images: Annotated[
        list[Path], typer.Argument(help="Images, or folders of images or DICOM series.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the masks.")],
    network: Annotated[
        str | None, typer.Option(help="One of the method's networks, such as transformer.")
    ] = None,
    weights: Annotated[str, typer.Option(help="best, last, or step-N where kept.")] = "best",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write class probabilities beside the masks.")
    ] = False,
    flips: Annotated[
        bool, typer.Option("--flips", help="Average over mirrored copies: four times slower.")
    ] = False,
    largest: Annotated[
        bool,
        typer.Option("--largest", help="Keep the largest connected piece of each class alone."),
    ] = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also where the mask is already there.")
    ] = False,
    dry_run: options.DryRun = False,
) -> None:
    """Segment new images: a volume's mask has its format and grid; pictures give PNG, DICOM NIfTI.

    A stack of pictures (TIFF) gives a TIFF of class codes.

    One bad file is reported and skipped; the exit code is then 1. A stopped prediction goes on
    where it was.
    """
    from semiseg.workflows.predict import predict as workflow

    result = workflow(
        run, images, out, network=network, weights=weights, probabilities=probabilities, flips=flips,
        largest=largest,
        device=device, threads=threads, overwrite=overwrite, dry_run=dry_run,
    )  # fmt: skip
    if result.failed:
        raise typer.Exit(1)
