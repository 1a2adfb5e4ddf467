"""``semiseg pack``."""

from pathlib import Path
from typing import Annotated

import typer


def pack(
    data: Annotated[Path, typer.Argument(help="A prepared data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    bits: Annotated[int, typer.Option(help="Bits per image value: 8 or 16.")] = 16,
    part: Annotated[
        str | None,
        typer.Option(help="Pack only one part: train, validation or test. Default: all."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Compress a prepared data set into one file, for 'semiseg unpack'.

    Labels are stored exactly. Images are stored exactly if their values fit into the bits.
    """
    from semiseg.workflows.pack import pack as workflow

    workflow(data, out, bits=bits, part=part, overwrite=overwrite)
