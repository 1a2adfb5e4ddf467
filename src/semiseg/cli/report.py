"""``semiseg report``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def report(
    folder: Annotated[Path, typer.Argument(help="A run's or a benchmark's folder.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page's file. Default: report.html in the folder."),
    ] = None,
    device: options.Device = "auto",
) -> None:
    """Write one HTML page with tables, curves and pictures; it opens without a network.

    A page that is there already is written anew.
    """
    from semiseg.workflows.report import report as workflow

    workflow(folder, out, device=device)
