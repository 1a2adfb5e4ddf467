"""``semiseg train``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options
from semiseg.errors import UserError


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")],
    data: Annotated[
        Path | None, typer.Argument(help="A prepared data set. Not needed with --resume.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="A method (see 'semiseg methods'), or auto, the recommended one. Default: the preset's, "
            "else auto."
        ),
    ] = None,
    labelled: options.Labelled = "all",
    labelled_seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=options.SEEDS,
            help="Seed of the choice of labelled patients. Default: the order in the data, else 0.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the training.")] = None,
    preset: options.Preset = None,
    settings: options.Settings = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Duration of the training (2h, 30m), which its schedule fits. With --set "
            "training.iterations or --resume: stop after this time, with a checkpoint."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in -o from its last checkpoint.")
    ] = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
) -> None:
    """Train a network from few labelled and many unlabelled images.

    To train in several processes: torchrun --nproc-per-node 2 -m semiseg.cli.main train ...
    """
    from semiseg.config import parse_assignments
    from semiseg.data.budget import names_a_file
    from semiseg.workflows import train as workflow

    limit = options.seconds(time)
    if resume:
        given = [method, labelled_seed, seed, preset, settings, overwrite or None, dry_run or None]
        if any(value is not None for value in given) or labelled != "all":
            raise UserError(
                "--resume uses the run's own configuration: leave out --method, --labelled, "
                "--labelled-seed, --seed, --preset, --set, --overwrite and --dry-run."
            )
        workflow.resume(out, data=data, device=device, threads=threads, seconds=limit)
        return
    if data is None:
        raise UserError("No prepared data set was given: semiseg train DATA -o RUN.")
    chosen = list(settings or [])
    if labelled_seed is not None and names_a_file(labelled):
        raise UserError(
            f"--labelled-seed {labelled_seed} chooses patients, but {labelled} lists them: leave out one of "
            "the two."
        )
    if seed is not None and "seed" in parse_assignments(chosen).get("training", {}):
        raise UserError(f"--seed {seed} and --set training.seed contradict each other: give one.")
    if seed is not None:
        chosen.append(f"training.seed={seed}")
    workflow.train(
        data, out, method=method, labelled=labelled, labelled_seed=labelled_seed, preset=preset,
        settings=chosen, device=device, threads=threads, seconds=limit, overwrite=overwrite, dry_run=dry_run,
    )  # fmt: skip
