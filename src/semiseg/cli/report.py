"""``semiseg report``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def report(
    folder: Annotated[
        Path, typer.Argument(help="The folder of a run, of 'semiseg run', or of a benchmark.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The file to write: .html for a page, or .png, .svg or .pdf for a figure with only the "
            "pictures. Default: report.html in the folder.",
        ),
    ] = None,
    device: options.Device = "auto",
) -> None:
    """Write an HTML page with tables, curves and pictures of a run or a benchmark.

    The page needs no internet connection. An existing page is replaced.
    """
    from semiseg.workflows.report import report as workflow

    workflow(folder, out, device=device)
