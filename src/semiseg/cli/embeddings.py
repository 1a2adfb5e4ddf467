"""``semiseg embeddings``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def embeddings(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of one or more runs on the same data.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The figure to write: a .png, .svg or .pdf file.")
    ],
    weights: Annotated[
        str,
        typer.Option(
            help="Comma-separated weights: best, last, or step-500 if the run was trained with "
            "training.keep_weights_at=[500]."
        ),
    ] = "best",
    on: Annotated[
        str, typer.Option(help="Cases to embed: validation, test or unlabelled.")
    ] = "validation",
    images: Annotated[
        int, typer.Option(min=2, max=options.MOST, help="Number of slices or pictures.")
    ] = 32,
    spaces: Annotated[
        str | None,
        typer.Option(help="Comma-separated feature spaces: encoder,head. Default: all."),
    ] = None,
    device: options.Device = "auto",
) -> None:
    """Plot the features of a run by class (t-SNE), and measure how well the classes separate.

    The classes are those of the reference masks. The silhouette scores are written to a CSV file
    next to the figure.
    """
    from semiseg.workflows.embeddings import embeddings as workflow

    workflow(
        runs, out, weights=options.words(weights, "--weights"), on=on, images=images,
        spaces=options.words(spaces, "--spaces"),
        device=device,
    )  # fmt: skip
