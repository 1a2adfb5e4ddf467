"""``semiseg demo``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for all of it.")] = Path(
        "semiseg-demo"
    ),
    seed: Annotated[
        int, typer.Option(help="Of the phantom, the labelled patients, the training.")
    ] = 0,
    patients: Annotated[int, typer.Option(min=10, help="Patients to generate.")] = 40,
    labelled: Annotated[str, typer.Option(help="How many training patients are labelled.")] = "3",
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Training iterations. Default: the preset 'demo'.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Trainings at a time. Default: 2 on two cores.")
    ] = None,
    device: options.Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew.")] = False,
) -> None:
    """See MCSC learn from few labels on generated heart scans: some minutes on a laptop's CPU.

    Ends with one HTML page. Interrupted, the same command goes on.
    """
    from semiseg.workflows.demo import demo as workflow

    workflow(
        out, seed=seed, patients=patients, labelled=labelled, iterations=iterations, jobs=jobs,
        device=device, overwrite=overwrite,
    )  # fmt: skip
