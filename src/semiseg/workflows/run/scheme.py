"""How a round is scored, and which patients train: by the number of labelled patients.

At least ten: on held-out patients. Three to nine: by cross-validation. Fewer: not at all.
"""

import dataclasses
from collections.abc import Collection

from semiseg.data.budget import parse_budget
from semiseg.data.manifest import Split
from semiseg.data.rounds import (
    FEWEST_TO_TEST,
    FRACTIONS,
    extend_folds,
    extend_split,
    held_out_counts,
)
from semiseg.data.splits import draw_labelled
from semiseg.errors import UserError
from semiseg.preparation.changes import Before
from semiseg.preparation.scanning import Groups, Plan
from semiseg.text import plural
from semiseg.training.run_output import Round, Scheme
from semiseg.workflows.run.request import RunRequest

ENOUGH = 10  # labelled patients: some are held out
FEWEST = 3  # labelled patients: fewer cannot be scored
FOLDS = 5  # with up to this number of patients, each is left out once


@dataclasses.dataclass(frozen=True)
class Decision:
    """How a round is scored.

    Attributes:
        scheme: held-out patients, cross-validation, or none.
        split: the split of the data.
        labelled: the patients whose labels train.
        held_out: other patients that are scored or choose the checkpoint.
        folds: the patients of each fold.
    """

    scheme: Scheme
    split: Split
    labelled: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    folds: tuple[tuple[str, ...], ...] = ()

    def sentence(self) -> str:
        """What is scored and why."""
        count = plural(len(self.labelled), "labelled patient")
        if self.scheme == "held-out":
            return f"scores: on patients that are held out ({self.split.origin})"
        if self.scheme == "none" and len(self.labelled) >= FEWEST:
            return "scores: none, because --folds 0 disables cross-validation and no patient is held out"
        if self.scheme == "none":
            return (
                f"scores: none. With {count} nothing can be said about the quality: label at least "
                f"{FEWEST} patients, better {ENOUGH}. The page shows predictions to look at"
            )
        largest = max(len(fold) for fold in self.folds)
        kind = (
            "leave-one-out cross-validation"
            if largest == 1
            else f"cross-validation in {len(self.folds)} folds"
        )
        return f"scores: {kind} by patient, since there are only {count}"


def decide(
    plan: Plan, request: RunRequest, before: Before | None, last: Round, groups: Groups = ()
) -> Decision:
    """Decide from the labels of the source and from an earlier round.

    Args:
        plan: the source.
        request: the arguments.
        before: the data of the earlier round.
        last: the earlier round, or the present one if it is resumed.
        groups: patients that belong together, which are known when the images are read.

    Raises:
        UserError: if ``--labelled`` or ``--folds`` does not fit the source.
    """
    cases = plan.scan.cases
    patients = list(dict.fromkeys(case.patient for case in cases))
    labelled = list(dict.fromkeys(case.patient for case in cases if case.has_label))
    drawn = plan.scan.split is None and request.reading.get("split") is None
    parts = request.reading.get("parts")
    fractions = parts or plan.scan.parts or FRACTIONS
    known = _labelled_before(before)
    # data that were prepared for this round already hold patients out
    crossed = bool(last.folds) and not (before and _held_out(before, labelled))
    split = plan.split
    free = drawn and request.labelled == "all" and parts is None and request.folds != 0
    few = free and (
        len(labelled) < ENOUGH
        or bool(request.folds)
        or (crossed and len(set(labelled) - known) < sum(held_out_counts(len(labelled), fractions)))
    )
    if few:
        train = tuple(patients)
        origin = f"{plural(len(labelled), 'labelled patient')}: all are used for training"
        split = Split(train=train, origin=origin)
        if before is not None and set(before.manifest.split.train) == set(train):
            split = before.manifest.split.model_copy(update={"origin": origin})
    elif drawn and (before is not None or (parts is None and 0 < len(split.test) < FEWEST_TO_TEST)):
        start = Split(train=tuple(patients)) if before is None else before.manifest.split
        split = extend_split(start, patients, labelled, known, fractions, request.seed, groups)
    elif groups and plan.redraw is not None:
        split = plan.redraw(plan, groups)
    of_training = [p for p in labelled if p in set(split.train)]
    budget = parse_budget(request.labelled, len(of_training))
    chosen = draw_labelled(split, of_training, budget)
    held = {*split.test, *split.validation} & set(labelled)
    count = request.folds if request.folds is not None else min(len(chosen), FOLDS)
    if request.folds and request.folds > len(chosen):
        raise UserError(
            f"--folds {request.folds}: there are only {plural(len(chosen), 'labelled patient')} for "
            "training: use a smaller number."
        )
    if count >= 2 and (request.folds or (not held and len(chosen) >= FEWEST)):
        folds = extend_folds(last.folds, chosen, count, request.seed, groups)
        if 2 * max(map(len, folds)) > len(chosen) + 1:  # too many belong together
            folds = extend_folds(last.folds, chosen, count, request.seed)
        return Decision("cross-validation", split, chosen, (), folds)
    return Decision("held-out" if held else "none", split, chosen, tuple(sorted(held)))


def _held_out(before: Before, labelled: Collection[str]) -> set[str]:
    split = before.manifest.split
    return {*split.test, *split.validation} & set(labelled)


def _labelled_before(before: Before | None) -> set[str]:
    cases = before.manifest.cases if before is not None else ()
    return {case.patient for case in cases if case.labelled}
