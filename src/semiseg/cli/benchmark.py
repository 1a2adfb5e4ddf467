"""``semiseg benchmark``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def benchmark(
    out: Annotated[Path, typer.Option("--out", "-o", help="The benchmark's folder.")],
    data: Annotated[
        Path | None,
        typer.Argument(help="A prepared data set. Not needed to resume or extend a benchmark."),
    ] = None,
    methods: Annotated[
        str, typer.Option(help="Comma-separated names of methods (see 'semiseg methods').")
    ] = "",
    study: Annotated[
        str | None,
        typer.Option(
            help="A study (see 'semiseg presets') or a YAML file of named variants. The settings of a "
            "variant override --set."
        ),
    ] = None,
    labelled: Annotated[
        str, typer.Option(help="Comma-separated numbers of labelled patients: 1,3,7 or 5%,10%.")
    ] = "all",
    seeds: Annotated[str, typer.Option(help="Comma-separated seeds: 0,1,2.")] = "0",
    preset: options.Preset = None,
    settings: options.Settings = None,
    on: Annotated[str, typer.Option(help="Cases to score: validation or test.")] = "validation",
    protocol: Annotated[
        str | None, typer.Option(help=f"{options.PROTOCOLS}. Default: the preset's.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="The scored weights: best (chosen by the validation cases) or last. Default: last on the "
            "validation part, best on the test part."
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, max=1024, help="Number of runs at the same time.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="CPU threads of each run.")] = 1,
    time: Annotated[
        str | None,
        typer.Option(
            help="Duration of all runs together: 8h, 30m. Every training takes the same share. Default: "
            "the preset's iterations."
        ),
    ] = None,
    device: options.Device = "auto",
    dry_run: options.DryRun = False,
) -> None:
    """Compare methods, numbers of labelled patients and seeds on the same data, in one table.

    To resume an interrupted benchmark, pass only -o. To extend it, pass more methods or seeds.
    """
    from semiseg.workflows.benchmark import benchmark as workflow

    result = workflow(
        data, out, methods=options.words(methods, "--methods"), study=study,
        labelled=options.words(labelled, "--labelled"),
        seeds=options.numbers(seeds, "--seeds"), preset=preset, settings=settings or [], on=on,
        protocol=protocol, weights=weights, jobs=jobs, threads=threads,
        seconds=options.seconds(time), device=device, dry_run=dry_run,
    )  # fmt: skip
    if result.failed:
        raise typer.Exit(1)
