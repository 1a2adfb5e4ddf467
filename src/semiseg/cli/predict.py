"""``semiseg predict``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options


def predict(
    run: Annotated[
        Path,
        typer.Argument(help="The folder of a run, or of 'semiseg run'."),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, or folders of images or DICOM series, with their sub-folders. Runs before "
            "them are averaged with the first one (an ensemble).",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the masks.")],
    network: options.Network = None,
    weights: options.Weights = "best",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write the class probabilities.")
    ] = False,
    flips: options.Flips = False,
    with_folds: options.WithFolds = False,
    largest: Annotated[
        bool,
        typer.Option("--largest", help="Keep only the largest connected component of each class."),
    ] = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    uneven_slices: options.UnevenSlices = "refuse",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing masks.")] = False,
    dry_run: options.DryRun = False,
) -> None:
    """Segment new images.

    The mask of a volume has the format and the grid of its image. The mask of a picture is a PNG, of a
    DICOM series a NIfTI file, of a TIFF stack a TIFF. Masks contain the values of the training labels.

    Several runs form an ensemble: semiseg predict RUN1 RUN2 IMAGES -o MASKS. Their methods, networks and
    sizes may differ, but not the channels and classes.

    A file that cannot be read is reported and skipped; the exit code is then 1. To resume an
    interrupted prediction, run the same command again.
    """
    from semiseg.workflows.predict import predict as workflow
    from semiseg.workflows.run_arguments import runs_and_images

    runs, images = runs_and_images([run, *images])
    result = workflow(
        runs, images, out, network=network, weights=weights, probabilities=probabilities, flips=flips,
        with_folds=with_folds, largest=largest, uneven_slices=uneven_slices,
        device=device, threads=threads, overwrite=overwrite, dry_run=dry_run,
    )  # fmt: skip
    if result.failed:
        raise typer.Exit(1)
