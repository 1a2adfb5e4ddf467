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
            help="New folder for page.html, inspect.json, cases.csv. Default: print only.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="Side of the network's input. Default: what the data suggest."),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Of a folder of images. Default: recognised by itself.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Of a folder of images, as 'semiseg prepare' takes them.")
    ] = None,
    patient_pattern: Annotated[
        str | None, typer.Option(help="Of a folder of images, as 'semiseg prepare' takes it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Show what is in a data set, and what looks wrong in it.

    Counts, cases, classes, intensities, the upper bound of Dice that the input size allows, and warnings:
    duplicates, strange labels, mixed orientations, spacings or intensities, tiny structures.
    """  # fmt: skip
    from semiseg.workflows.inspect import inspect as workflow

    workflow(
        data, out, size=size, layout=layout, classes=options.words(classes) or None,
        patient_pattern=patient_pattern, json=json, overwrite=overwrite,
    )  # fmt: skip
