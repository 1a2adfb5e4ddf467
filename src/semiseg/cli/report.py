"""``semiseg report``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def report(
    folder: Annotated[Path, typer.Argument(help="A run's or a benchmark's folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The page's file (default: report.html in the folder); or a .png, .svg or .pdf for a "
            "figure of its pictures alone.",
        ),
    ] = None,
    device: options.Device = "auto",
) -> None:
    """Write one HTML page with tables, curves and pictures; it opens without a network.

    Or the pictures alone, as a figure: cases beside every method's prediction. What is there already
    is written anew.
    """
    from semiseg.workflows.report import report as workflow

    workflow(folder, out, device=device)
