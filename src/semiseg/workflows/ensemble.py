"""The networks of one or several runs as one predictor."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from semiseg.data.task import Task
from semiseg.digests import file_digest
from semiseg.errors import UserError
from semiseg.inference.base import Resampling
from semiseg.inference.ensemble import Ensemble
from semiseg.inference.predictors import AnyPredictor
from semiseg.training.run_folder import RunFolder
from semiseg.training.run_output import RunOutput, find_run
from semiseg.workflows.loading import load_predictor

Runs = Path | str | Sequence[Path | str]
"""The folder of one run, or those of several, whose probabilities are averaged."""


def given_runs(run: Runs) -> list[Path]:
    """The folders as given.

    Raises:
        UserError: if there is none.
    """
    found = [run] if isinstance(run, Path | str) else list(run)
    if not found:
        raise UserError("No run is given: name the folder of at least one run.")
    return [Path(folder) for folder in found]


def find_runs(run: Runs, with_folds: bool = False) -> list[RunFolder]:
    """The runs whose networks predict.

    Args:
        run: folders of runs, or of `run`, whose final networks are taken.
        with_folds: whether to add the networks of the cross-validation of each.

    Raises:
        UserError: if a folder is not a run or has no cross-validation, if a run is given twice, or if two
            runs have different tasks.
    """
    found: list[RunFolder] = []
    for folder in given_runs(run):
        found += _with_folds(folder) if with_folds else [RunFolder(find_run(folder))]
    places: set[Path] = set()
    for one in found:
        one.config()  # raises if it is not a run
        if one.folder.resolve() in places:
            raise UserError(f"{one.folder} is given twice: name each run once.")
        places.add(one.folder.resolve())
    if len(found) > 1:
        _check_same_task(found)
    return found


def load_networks(
    runs: Sequence[RunFolder],
    *,
    network: str | None = None,
    weights: str = "best",
    device: str = "cpu",
    flips: bool = False,
    resampling: Resampling = "probabilities",
) -> AnyPredictor:
    """The predictor of a run, or the ensemble of several; the arguments are those of `load_predictor`.

    Raises:
        UserError: as in `load_predictor`, or if two runs have the same weights.
    """
    members = [
        load_predictor(
            run.folder, network=network, weights=weights, device=device, flips=flips,
            resampling=resampling,
        )
        for run in runs
    ]  # fmt: skip
    if len(members) == 1:
        return members[0]
    known: dict[str, RunFolder] = {}
    for run in runs:
        digest = file_digest(run.weights / f"{weights}.safetensors")
        if digest in known:
            raise UserError(
                f"{known[digest].folder} and {run.folder} have the same weights: name one of them."
            )
        known[digest] = run
    return Ensemble(members)


def _with_folds(folder: Path) -> list[RunFolder]:
    """The final network of `run`, and those of its cross-validation."""
    output = RunOutput(folder)
    folds = [output.fold(index) for index in range(len(output.round().folds))]
    if not folds:
        raise UserError(
            f"--with-folds: {folder} has no cross-validation: give a folder of 'semiseg run' that has one, "
            "or leave the option out."
        )
    return [output.training, *folds]


def _check_same_task(runs: Sequence[RunFolder]) -> None:
    """Check that runs segment the same classes in the same kind of images.

    Raises:
        UserError: naming two runs and the first property in which they differ.
    """
    properties = [(run.folder, _properties(run)) for run in runs]
    for (first, ours), (other, theirs) in itertools.combinations(properties, 2):
        for name, own in ours.items():
            if own and theirs[name] and own != theirs[name]:
                raise UserError(
                    f"{first} and {other} cannot be averaged, since the {name} differ "
                    f"({own} and {theirs[name]}): name runs of the same task."
                )


def _properties(run: RunFolder) -> dict[str, str]:
    """What runs of one task have in common, in words; empty where it is unknown or does not matter."""
    task = run.task()
    ranges = run.facts().training_images
    ct = None if ranges is None or task.kind != "volumes" else ranges.ct
    return {
        "kinds of images": task.kind,
        "numbers of channels": str(task.channels),
        "classes": ", ".join(task.classes),
        "values of the classes in labels": _values(task),
        "modalities of the training images": {True: "CT", False: "not CT", None: ""}[ct],
        "depths of the training images": _depth(task),
    }


def _values(task: Task) -> str:
    """The values of the classes in masks; the colours if labels are coloured pictures."""
    values = task.label_colours or task.label_values or range(len(task.classes))
    return ", ".join(map(str, values))


def _depth(task: Task) -> str:
    """The depth of pictures where it decides the scaling; see `Input.read`."""
    if task.kind != "pictures" or task.intensity.kind != "window":
        return ""
    return "more than 8 bits" if task.intensity.high > 255 else "8 bits"
