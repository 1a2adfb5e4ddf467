"""``semiseg demo``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "semiseg-demo"
    ),
    seed: Annotated[
        int,
        typer.Option(
            max=options.SEEDS, help="Seed of the images, the labelled patients and the training."
        ),
    ] = 0,
    patients: Annotated[
        int, typer.Option(min=10, max=10_000, help="Number of patients to generate.")
    ] = 40,
    labelled: Annotated[str, typer.Option(help="Number of labelled training patients.")] = "3",
    iterations: Annotated[
        int | None,
        typer.Option(min=1, max=10**9, help="Training iterations. Default: as in preset 'demo'."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, help="Trainings at the same time. Default: 2 if there are two cores."
        ),
    ] = None,
    device: options.Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier demo and start again.")
    ] = False,
) -> None:
    """Train two methods on generated heart scans and write an HTML report (some minutes on a CPU).

    To resume an interrupted demo, run the same command again.
    """
    from semiseg.workflows.demo import demo as workflow

    workflow(
        out, seed=seed, patients=patients, labelled=labelled, iterations=iterations, jobs=jobs,
        device=device, overwrite=overwrite,
    )  # fmt: skip
