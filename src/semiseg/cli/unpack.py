"""``semiseg unpack``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def unpack(
    file: Annotated[Path, typer.Argument(help="A file that 'semiseg pack' wrote.")],
    out: options.Out,
    overwrite: options.Overwrite = False,
) -> None:
    """Restore a prepared data set from a file of 'semiseg pack'; every array is verified."""
    from semiseg.workflows.pack import unpack as workflow

    workflow(file, out, overwrite=overwrite)
