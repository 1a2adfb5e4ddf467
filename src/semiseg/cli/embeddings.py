"""``semiseg embeddings``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def embeddings(
    runs: Annotated[list[Path], typer.Argument(help="Runs on the same data, one or several.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The figure: a .png, .svg or .pdf file.")
    ],
    at: Annotated[
        str,
        typer.Option(
            help="Comma-separated weights: best, last, or step-500 where "
            "training.keep_weights_at=[500] kept them."
        ),
    ] = "best",
    on: Annotated[str, typer.Option(help="validation, test or unlabelled.")] = "validation",
    images: Annotated[int, typer.Option(min=2, help="Slices or pictures to embed.")] = 32,
    spaces: Annotated[
        str | None,
        typer.Option(help="Comma-separated: only spaces so named, such as encoder,head."),
    ] = None,
    device: options.Device = "auto",
) -> None:
    """Draw how the classes lie in a run's feature spaces (t-SNE), and measure how far apart.

    The classes are those of the reference masks; the numbers (silhouettes) are written beside the
    figure.
    """
    from semiseg.workflows.embeddings import embeddings as workflow

    workflow(
        runs, out, at=options.words(at), on=on, images=images, spaces=options.words(spaces),
        device=device,
    )  # fmt: skip
