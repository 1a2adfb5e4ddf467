"""``semiseg train``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options
from semiseg.errors import UserError


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")],
    data: Annotated[
        Path | None, typer.Argument(help="A prepared data set (not needed with --resume).")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="See 'semiseg methods'. Default: the preset's.")
    ] = None,
    labelled: Annotated[
        str,
        typer.Option(help="How many patients are labelled: 7, 10%, all, or a text file of them."),
    ] = "all",
    labelled_seed: Annotated[
        int | None,
        typer.Option(help="Seed of the labelled patients. Default: the data's own order, else 0."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the training.")] = None,
    preset: options.Preset = None,
    settings: options.Settings = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    time: Annotated[
        str | None, typer.Option(help="Train for that long (2h, 30m) and finish cleanly.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in -o, exactly where it stopped.")
    ] = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
) -> None:
    """Train a network from few labelled and many unlabelled images.

    With several processes: torchrun --nproc-per-node 2 -m semiseg.cli.main train ...
    """
    from semiseg.workflows import train as workflow

    limit = options.seconds(time)
    if resume:
        given = [method, labelled_seed, seed, preset, settings, overwrite or None, dry_run or None]
        if any(value is not None for value in given) or labelled != "all":
            raise UserError(
                "--resume goes on with the run's own configuration: leave out --method, --labelled, "
                "--labelled-seed, --seed, --preset, --set, --overwrite and --dry-run."
            )
        workflow.resume(out, data=data, device=device, threads=threads, seconds=limit)
        return
    if data is None:
        raise UserError("Say which prepared data set to train on: semiseg train DATA -o RUN.")
    chosen = list(settings or [])
    if seed is not None:
        chosen.append(f"training.seed={seed}")
    workflow.train(
        data, out, method=method, labelled=labelled, labelled_seed=labelled_seed, preset=preset,
        settings=chosen, device=device, threads=threads, seconds=limit, overwrite=overwrite, dry_run=dry_run,
    )  # fmt: skip
