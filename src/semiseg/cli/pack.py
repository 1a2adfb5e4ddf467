"""``semiseg pack``."""

from pathlib import Path
from typing import Annotated

import typer


def pack(
    data: Annotated[Path, typer.Argument(help="A prepared data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    bits: Annotated[int, typer.Option(help="8 or 16, of an image's value.")] = 16,
    part: Annotated[
        str | None, typer.Option(help="Only train, validation or test. Default: all.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Make a prepared data set one small file that travels; 'semiseg unpack' makes it a set again.

    Labels stay exactly as they are, images too where they fit into the bits.
    """
    from semiseg.workflows.pack import pack as workflow

    workflow(data, out, bits=bits, part=part, overwrite=overwrite)
