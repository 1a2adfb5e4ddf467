"""``semiseg benchmark``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def benchmark(
    out: Annotated[Path, typer.Option("--out", "-o", help="The benchmark's folder, new or begun.")],
    data: Annotated[
        Path | None,
        typer.Argument(help="A prepared data set (known where the benchmark is begun)."),
    ] = None,
    methods: Annotated[str, typer.Option(help="Comma-separated: supervised,mcsc.")] = "",
    study: Annotated[
        str | None,
        typer.Option(
            help="Named variants, such as mcsc-table3, or a YAML file. What a variant sets wins over --set."
        ),
    ] = None,
    labelled: Annotated[
        str, typer.Option(help="Comma-separated budgets: 1,3,7 or 5%,10%.")
    ] = "all",
    seeds: Annotated[str, typer.Option(help="Comma-separated: 0,1,2.")] = "0",
    preset: options.Preset = None,
    settings: options.Settings = None,
    on: Annotated[str, typer.Option(help="Score on: validation or test.")] = "validation",
    protocol: Annotated[
        str | None,
        typer.Option(help="strict, paper, paper-plgcl, paper-cross-level. Default: the preset's."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, each with --threads.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each run.")] = 1,
    device: options.Device = "auto",
    dry_run: options.DryRun = False,
) -> None:
    """Run methods, budgets and seeds on the same data and make one table.

    It can be interrupted: the same command, or -o alone, resumes it. More methods or seeds extend it.
    """
    from semiseg.workflows.benchmark import benchmark as workflow

    result = workflow(
        data, out, methods=options.words(methods), study=study, labelled=options.words(labelled),
        seeds=options.numbers(seeds, "--seeds"), preset=preset, settings=settings or [], on=on,
        protocol=protocol, jobs=jobs, threads=threads, device=device, dry_run=dry_run,
    )  # fmt: skip
    if result.failed:
        raise typer.Exit(1)
