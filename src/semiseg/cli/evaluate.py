"""``semiseg evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options
from semiseg.errors import UserError


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run's folder; or a folder (or file) of masks.")],
    references: Annotated[
        Path | None, typer.Argument(help="Only with masks: the reference masks to compare with.")
    ] = None,
    on: Annotated[
        str, typer.Option(help="validation, test, or unlabelled (its pseudo-labels).")
    ] = "test",
    data: Annotated[
        Path | None, typer.Option(help="Another prepared data set than the run's own.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="One of the method's networks, such as transformer.")
    ] = None,
    weights: Annotated[str, typer.Option(help="best, last, or step-N where kept.")] = "best",
    protocol: Annotated[
        str | None,
        typer.Option(help="strict, paper, paper-plgcl, paper-cross-level. Default: the run's."),
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(help="Distance of a structure that was missed: worst, exclude or zero."),
    ] = None,
    hd95: Annotated[
        str | None, typer.Option(help="pooled, larger-direction or surfel-weighted.")
    ] = None,
    flips: Annotated[bool, typer.Option("--flips", help="Average over mirrored copies.")] = False,
    classes: Annotated[
        str | None,
        typer.Option(
            help="With masks: names of the classes 1, 2, ...; or what the references' values mean, as "
            "for 'prepare': 3=liver, '#ff0000=polyp'."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write the scores.")
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the scores that -o holds.")
    ] = False,
) -> None:
    """Score a run on its validation or test cases, or masks against reference masks.

    Dice, HD95 and ASD per case and class (and MAE for pictures), with counts and definitions.
    """
    if references is None:
        if classes is not None:
            raise UserError("--classes is for masks: semiseg evaluate MASKS REFERENCES.")
        from semiseg.workflows.evaluate import evaluate as workflow

        workflow(
            run, on=on, data=data, network=network, weights=weights, protocol=protocol,
            missing=missing, hd95=hd95, flips=flips, out=out, device=device, threads=threads,
            overwrite=overwrite,
        )  # fmt: skip
        return
    if data is not None or network is not None or flips or on != "test" or weights != "best":
        raise UserError(
            "--on, --data, --network, --weights and --flips are for runs: "
            "semiseg evaluate RUN --on test."
        )
    from semiseg.datasets.naming import read_naming
    from semiseg.evaluation.protocols import check_missing
    from semiseg.workflows.compare import compare

    named, naming = read_naming(options.words(classes) or None, None)
    summary = compare(
        run, references, classes=named, naming=naming, protocol=protocol or "strict",
        missing=check_missing(missing or "worst"), hd95=hd95, out=out, overwrite=overwrite,
    )  # fmt: skip
    if not summary.complete:
        raise typer.Exit(1)
