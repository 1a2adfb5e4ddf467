"""``semiseg prepare``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli import options
from semiseg.errors import UserError


def prepare(
    source: Annotated[Path, typer.Argument(help="A folder of images in any supported layout.")],
    out: options.Out,
    layout: Annotated[str | None, typer.Option(help="Default: recognised by itself.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Names of the classes 1, 2, ...: RV,Myo,LV; of codes: 3=liver,7=tumour; or of the "
            "colours of pictures' masks: '#ff0000=polyp,#00ff00=tool'."
        ),
    ] = None,
    patient_pattern: Annotated[
        str | None, typer.Option(help="Regular expression whose first group is the patient.")
    ] = None,
    spacing: Annotated[
        str | None, typer.Option(help="Slice,row,column spacing in mm, in place of the files'.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="JSON: {train: [...], validation: [...], test: [...]}; or a name: acdc-papers."
        ),
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(help="Of a drawn split: training,validation,test. Default: 0.7,0.1,0.2."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the drawn split.")] = 0,
    max_side: Annotated[int, typer.Option(min=32, help="Larger pictures are reduced to it.")] = 512,
    all_frames: Annotated[
        bool,
        typer.Option(
            "--all-frames", help="ACDC: frames without annotation too, as unlabelled images."
        ),
    ] = False,
    not_drawn: Annotated[
        str | None,
        typer.Option(
            help="Value (1 to 255) or colour (#rrggbb) in labels of what nobody drew; none: there is no "
            "such value. Default: 255 where it is no class."
        ),
    ] = None,
    undrawn_slices: Annotated[
        str,
        typer.Option(
            help="Slices of labelled volumes without any structure are background or unlabelled."
        ),
    ] = "background",
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
) -> None:
    """Turn a folder of images and masks into a prepared data set.

    An image without a mask is an unlabelled image, the normal case.
    """
    from semiseg.workflows.prepare import prepare as workflow

    workflow(
        source, out, layout=layout, classes=options.words(classes) or None,
        patient_pattern=patient_pattern, spacing=_spacing(spacing), split=split,
        parts=_parts(parts), seed=seed,
        max_side=max_side, all_frames=all_frames, not_drawn=not_drawn,
        undrawn_slices=undrawn_slices, overwrite=overwrite, dry_run=dry_run,
    )  # fmt: skip


def _parts(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        train, validation, test = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--parts {text}: give three parts of 1, such as 0.6,0.2,0.2.") from None
    return train, validation, test


def _spacing(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        slices, rows, columns = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(
            f"--spacing {text}: give three numbers in mm, such as 10,1.5,1.5."
        ) from None
    if min(slices, rows, columns) <= 0:
        raise UserError(f"--spacing {text}: all three must be above 0.")
    return slices, rows, columns
