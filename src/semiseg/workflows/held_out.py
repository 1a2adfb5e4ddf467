"""Whether the scores of networks are measured on patients that they were not trained on."""

from collections.abc import Sequence
from pathlib import Path

from semiseg.data.manifest import Case, PreparedData
from semiseg.errors import UserError
from semiseg.text import listed
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.loading import is_same


def check_cross_validated(output: Path, data: Path | str | None) -> None:
    """Check that the output of `run` has held-out patients, if no other data are given.

    Raises:
        UserError: if its network was scored by cross-validation.
    """
    scores = output / "cross-validation" / "summary.json"
    if data is None and scores.is_file():
        raise UserError(
            f"{output} was scored by cross-validation, since few patients are labelled, and its final "
            f"network was trained on all of them: the scores are in {scores.parent}. Give other labelled "
            "data with --data."
        )


def check_unseen(
    runs: Sequence[RunFolder], data: PreparedData, cases: Sequence[Case], on: str
) -> None:
    """Check that no network of an ensemble was trained on the cases that are scored.

    The first run chooses the cases; another one may have trained on them. Patients are compared by name, if
    the data are those of any of the runs.

    Args:
        runs: the runs of the ensemble.
        data: the data of the cases.
        cases: the cases of the part ``on``.
        on: 'validation', 'test' or 'unlabelled' (whose images, but not labels, may have trained).

    Raises:
        UserError: if one was; the message names the run and patients.
    """
    if not any(is_same(run, data) for run in runs):
        return
    for run in runs:
        own = run.split()
        seen = set(own.labelled if on == "unlabelled" else own.split.train)
        if on != "validation":  # chose the checkpoint
            seen |= set(own.split.validation)
        known = dict.fromkeys(case.patient for case in cases if case.patient in seen)
        if known:
            raise UserError(
                f"{run.folder} was trained or selected on patients of the {on} part of {runs[0].folder} "
                f"({listed(known)}): score an ensemble on patients that all its runs hold out, with runs "
                "of one split or other labelled data (--data)."
            )
