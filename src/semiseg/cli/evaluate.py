"""``semiseg evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options
from semiseg.errors import UserError


def evaluate(
    run: Annotated[
        Path,
        typer.Argument(
            help="The folder of a run or of 'semiseg run', or a folder (or file) of masks."
        ),
    ],
    references: Annotated[
        list[Path] | None,
        typer.Argument(
            help="The reference masks, to compare masks. Or further runs, which are averaged with the first "
            "one (an ensemble).",
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(help="Cases to score: validation, test, or unlabelled (its pseudo-labels)."),
    ] = "test",
    data: Annotated[
        Path | None, typer.Option(help="A prepared data set. Default: the run's.")
    ] = None,
    network: options.Network = None,
    weights: options.Weights = "best",
    protocol: Annotated[
        str | None, typer.Option(help=f"{options.PROTOCOLS}. Default: the run's.")
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(
            help="Distance of a structure that the prediction lacks: worst, exclude or zero."
        ),
    ] = None,
    hd95: Annotated[
        str | None,
        typer.Option(help="Definition of HD95: pooled, larger-direction or surfel-weighted."),
    ] = None,
    flips: options.Flips = False,
    with_folds: options.WithFolds = False,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Only to compare masks: names of the classes 1, 2, ..., or the meaning of the "
            "references' values, as in 'prepare': 3=liver or '#ff0000=polyp'."
        ),
    ] = None,
    patient_pattern: Annotated[
        str | None,
        typer.Option(
            help="Only to compare masks: regular expression that finds the patient in a name."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the scores. Default: in the run's folder; those of several runs are only "
            "printed.",
        ),
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace other scores in -o.")
    ] = False,
) -> None:
    """Score a run on its validation or test cases, or masks against reference masks.

    Several runs form an ensemble: semiseg evaluate RUN1 RUN2. It is scored on patients that all of them hold
    out.

    Writes Dice, HD95 and ASD per case and class (and MAE for pictures), with counts and definitions.
    """
    from semiseg.training.run_output import is_run

    paths = [run, *(references or [])]
    if len(paths) != 2 or all(map(is_run, paths)):
        for name, given in (("classes", classes), ("patient-pattern", patient_pattern)):
            if given is not None:
                raise UserError(f"--{name} needs masks: semiseg evaluate MASKS REFERENCES.")
        from semiseg.workflows.evaluate import evaluate as workflow
        from semiseg.workflows.run_arguments import check_runs

        if len(paths) > 1:
            check_runs(paths)
        workflow(
            paths, on=on, data=data, network=network, weights=weights, protocol=protocol,
            missing=missing, hd95=hd95, flips=flips, with_folds=with_folds, out=out,
            device=device, threads=threads, overwrite=overwrite,
        )  # fmt: skip
        return
    if (
        data is not None
        or network is not None
        or flips
        or with_folds
        or on != "test"
        or weights != "best"
    ):
        raise UserError(
            "--on, --data, --network, --weights, --flips and --with-folds need a run: "
            "semiseg evaluate RUN --on test."
        )
    if device != "auto" or threads is not None:
        raise UserError("--device and --threads need a run: leave them out to compare masks.")
    if overwrite and out is None:
        raise UserError("--overwrite replaces scores in a folder: give the folder with -o.")
    from semiseg.datasets.naming import read_naming
    from semiseg.evaluation.protocols import check_missing
    from semiseg.workflows.compare import compare

    named, naming = read_naming(options.words(classes, "--classes") or None, None)
    summary = compare(
        run, paths[1], classes=named, naming=naming, protocol=protocol or "strict",
        missing=check_missing(missing or "worst"), hd95=hd95, patient_pattern=patient_pattern,
        out=out, overwrite=overwrite,
    )  # fmt: skip
    if not summary.complete:
        raise typer.Exit(1)
