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
    layout: Annotated[
        str | None, typer.Option(help="Only for a folder of images. Default: detected.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Only for a folder of images; see 'semiseg prepare --help'.")
    ] = None,
    patient_pattern: Annotated[
        str | None, typer.Option(help="Only for a folder of images; see 'semiseg prepare --help'.")
    ] = None,
    reader: options.Reader = None,
    uneven_slices: options.UnevenSlices = "refuse",
    labels: Annotated[
        str | None, typer.Option(help="Only for a folder of images; see 'semiseg prepare --help'.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print only JSON.")] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Describe a data set and warn about possible errors in it.

    Prints counts, cases, classes, intensities and the upper bound of Dice at the input size. Warns about
    duplicates, unusual labels, mixed orientations, spacings or intensities, and tiny structures.
    """  # fmt: skip
    from semiseg.workflows.inspect import inspect as workflow

    workflow(
        data, out, size=size, layout=layout, classes=options.words(classes) or None,
        patient_pattern=patient_pattern, reader=reader, uneven_slices=uneven_slices, labels=labels,
        json=json, overwrite=overwrite,
    )  # fmt: skip
