"""Options that several verbs share, and how their words are read."""

import re
from pathlib import Path
from typing import Annotated

import typer

from semiseg.errors import UserError

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write; it must be new.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads. Default: as many as there are cores.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what the folder holds.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")
]
Preset = Annotated[
    str | None, typer.Option(help="Named settings (semiseg presets), or a YAML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="E.g. training.iterations=2000. Repeatable."),
]

Layout = Annotated[
    str | None, typer.Option(help="See 'semiseg datasets'. Default: recognised by itself.")
]
Classes = Annotated[
    str | None,
    typer.Option(
        help="Names of the classes 1, 2, ...: RV,Myo,LV; of codes: 3=liver,7=tumour; or of the "
        "colours of pictures' masks: '#ff0000=polyp, #00ff00=tool'."
    ),
]
PatientPattern = Annotated[
    str | None, typer.Option(help="Regular expression whose first group is the patient.")
]
Spacing = Annotated[
    str | None, typer.Option(help="Slice,row,column spacing in mm, in place of the files'.")
]
Split = Annotated[
    str | None,
    typer.Option(
        help="JSON: {train: [...], validation: [...], test: [...]}; or a name: acdc-papers."
    ),
]

IgnoreValue = Annotated[
    str | None,
    typer.Option(
        help="Value (1 to 255) or colour (#rrggbb) of ignored pixels in labels; none: there is no "
        "such value. Default: 255 where it is no class."
    ),
]
EmptySlices = Annotated[
    str,
    typer.Option(
        help="Slices of labelled volumes without any structure are background or unlabelled."
    ),
]
Parts = Annotated[
    str | None,
    typer.Option(help="Of a drawn split: training,validation,test. Default: 0.7,0.1,0.2."),
]
Intensity = Annotated[
    str | None,
    typer.Option(
        help="minmax, percentile, zscore or window:LOW:HIGH. Default: what the data suggest."
    ),
]
AllFrames = Annotated[
    bool,
    typer.Option("--all-frames", help="ACDC: frames without annotation too, as unlabelled images."),
]
MaxSide = Annotated[int, typer.Option(min=32, help="Larger pictures are reduced to it.")]


def seconds(text: str | None) -> float | None:
    """``2h``, ``90m``, ``45s``, ``1h30m`` -> seconds; None stays None."""
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text)
    if not match or not any(match.groups()):
        raise UserError(f"--time {text} is no duration: write 2h, 30m, 90s or 1h30m.")
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def words(text: str | None) -> list[str]:
    """A comma-separated list."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def numbers(text: str, option: str) -> list[int]:
    """A comma-separated list of whole numbers."""
    try:
        return [int(part) for part in words(text)]
    except ValueError:
        raise UserError(f"{option} {text}: give whole numbers, separated by commas.") from None


def spacing(text: str | None) -> tuple[float, float, float] | None:
    """``10,1.5,1.5`` -> (slice, row, column) in mm; None stays None."""
    found = _three(text, f"--spacing {text}: give three numbers in mm, such as 10,1.5,1.5.")
    if found is not None and min(found) <= 0:
        raise UserError(f"--spacing {text}: all three must be above 0.")
    return found


def parts(text: str | None) -> tuple[float, float, float] | None:
    """``0.6,0.2,0.2`` -> the parts of a drawn split; None stays None."""
    return _three(text, f"--parts {text}: give three parts of 1, such as 0.6,0.2,0.2.")


def _three(text: str | None, otherwise: str) -> tuple[float, float, float] | None:
    """Three numbers; ``otherwise`` is what to say of anything else."""
    if text is None:
        return None
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(otherwise) from None
    return first, second, third
