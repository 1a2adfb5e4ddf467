"""Options that several commands share, and parsers of their values."""

import re
from pathlib import Path
from typing import Annotated

import typer

from semiseg.errors import UserError

MOST = 10**6  # of anything that is counted
SEEDS = 2**63 - 1
LONGEST = 10 * 365 * 86400  # seconds
NUMBER = re.compile(r"-?[0-9]{1,40}")
FRACTION = re.compile(r"\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*")

# Repeated here, since the tables import numpy and yaml. A test compares them.
PROTOCOLS = "strict, paper, paper-plgcl or paper-cross-level"
SPLITS = "acdc-papers"

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write. It must be new.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, max=1024, help="Number of CPU threads. Default: the number of cores."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the contents of the output folder.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be done, and write nothing.")
]
Preset = Annotated[
    str | None, typer.Option(help="A preset (see 'semiseg presets') or a YAML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting, such as training.iterations=2000. Repeatable.",
    ),
]
Labelled = Annotated[
    str,
    typer.Option(
        help="Patients whose labels are used: a number such as 7 or 10%, all, or a text file that "
        "lists them."
    ),
]
Network = Annotated[
    str | None,
    typer.Option(help="One of the method's networks. Default: the one meant for inference."),
]
Weights = Annotated[
    str, typer.Option(help="best, last, or step-N if the run kept the weights of iteration N.")
]
Flips = Annotated[
    bool,
    typer.Option(
        "--flips",
        help="Average the predictions of copies that are mirrored along the axes of the training's flips. "
        "Each axis doubles the time.",
    ),
]
WithFolds = Annotated[
    bool,
    typer.Option(
        "--with-folds",
        help="Add the networks of the cross-validation of 'semiseg run' to the ensemble.",
    ),
]

Layout = Annotated[
    str | None, typer.Option(help="A layout (see 'semiseg datasets'). Default: detected.")
]
Classes = Annotated[
    str | None,
    typer.Option(
        help="Names of the classes 1, 2, ...: RV,Myo,LV. Or names of codes: 3=liver,7=tumour. Or "
        "names of colours in masks: '#ff0000=polyp, #00ff00=tool'."
    ),
]
PatientPattern = Annotated[
    str | None, typer.Option(help="Regular expression whose first group is the patient.")
]
Spacing = Annotated[
    str | None, typer.Option(help="Slice,row,column spacing in mm. Default: as in the files.")
]
Split = Annotated[
    str | None,
    typer.Option(
        help="A JSON file {train: [...], validation: [...], test: [...]} of patients, or the name of "
        f"a split: {SPLITS}."
    ),
]

IgnoreValue = Annotated[
    str | None,
    typer.Option(
        help="Value (1 to 255) or colour (#rrggbb) of ignored pixels in labels, or none. "
        "Default: 255, unless it is a class."
    ),
]
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Leave out images that cannot be read, and say which."),
]
EmptySlices = Annotated[
    str,
    typer.Option(
        help="How to treat slices of labelled volumes that contain no structure: background or "
        "unlabelled."
    ),
]
Reader = Annotated[
    str | None,
    typer.Option(
        help="Use only the masks that this person has drawn: with the name in that of the mask or of its "
        "folder, or in ContentCreatorName or OperatorsName of DICOM-SEG."
    ),
]
UnevenSlices = Annotated[
    str,
    typer.Option(
        help="How to treat DICOM series whose slices are at uneven distances: refuse, or resample to "
        "the smallest distance."
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        help="Folder of the labels, the ending of their names, or their suffix. Default: recognised by "
        "names such as labels, masks, NAME_seg."
    ),
]
ClassByFolder = Annotated[
    bool,
    typer.Option(
        "--class-by-folder", help="An image's folder, such as malignant, is the class of its mask."
    ),
]
TrustGrid = Annotated[
    str | None,
    typer.Option(
        metavar="image",
        help="With 'image', labels of an image's shape are on its grid, whatever their headers say.",
    ),
]
Parts = Annotated[
    str | None,
    typer.Option(
        help="Fractions of training, validation and test patients in a random split. "
        "Default: 0.7,0.1,0.2."
    ),
]
Intensity = Annotated[
    str | None,
    typer.Option(
        help="Normalisation: minmax, percentile, zscore or window:LOW:HIGH. Default: chosen from "
        "the data."
    ),
]
AllFrames = Annotated[
    bool,
    typer.Option("--all-frames", help="ACDC: use frames without annotation as unlabelled images."),
]
MaxSide = Annotated[
    int,
    typer.Option(min=32, max=MOST, help="Reduce larger pictures to this longer side, in pixels."),
]


def seconds(text: str | None) -> float | None:
    """``2h``, ``90m``, ``45s``, ``1h30m`` -> seconds; None stays None."""
    if text is None:
        return None
    match = len(text) < 40 and re.fullmatch(
        r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text
    )
    if not match or not any(match.groups()):
        raise UserError(f"--time {_short(text)} is not a duration: write 2h, 30m, 90s or 1h30m.")
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + rest
    if total > LONGEST:
        raise UserError(f"--time {text} is longer than ten years: give a shorter time.")
    return total


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def words(text: str | None, option: str) -> list[str]:
    """A comma-separated list; raises `UserError` for an empty entry."""
    found = [part.strip() for part in (text or "").split(",")]
    if found == [""]:
        return []
    if not all(found):
        raise UserError(
            f"{option} {_short(text or '')} has an empty entry: fill it in, or remove a comma."
        )
    return found


def numbers(text: str, option: str) -> list[int]:
    """A comma-separated list of whole numbers; zeros at their front do not count."""
    parts = words(text, option)
    if not all(NUMBER.fullmatch(part) and abs(int(part)) <= SEEDS for part in parts):
        raise UserError(
            f"{option} {_short(text)}: give whole numbers below 2^63, separated by commas."
        )
    return [int(part) for part in parts]


def spacing(text: str | None) -> tuple[float, float, float] | None:
    """``10,1.5,1.5`` -> (slice, row, column) in mm; None stays None."""
    from semiseg.data.task import is_possible

    shown = _short(text or "")
    found = _three(text, f"--spacing {shown}: give three numbers in mm, such as 10,1.5,1.5.")
    if found is not None and not is_possible(found):
        raise UserError(f"--spacing {shown}: give distances in mm, above 0 and at most 10,000.")
    return found


def parts(text: str | None) -> tuple[float, float, float] | None:
    """``0.6,0.2,0.2`` -> the fractions of a random split; None stays None."""
    return _three(text, f"--parts {_short(text or '')}: give three fractions, such as 0.6,0.2,0.2.")


def _three(text: str | None, message: str) -> tuple[float, float, float] | None:
    """Parse three numbers; ``message`` is the error for anything else."""
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 3 or not all(FRACTION.fullmatch(part) for part in parts):
        raise UserError(message)
    first, second, third = map(float, parts)
    return first, second, third
