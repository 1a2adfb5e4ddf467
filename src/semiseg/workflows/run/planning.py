"""From a source to a planned round: what has changed, the preparation, the scheme and the trainings."""

import dataclasses
import functools
from collections.abc import Callable

from semiseg import methods
from semiseg.console import Console
from semiseg.data.manifest import PreparedData
from semiseg.preparation.case_changes import changes_of_cases
from semiseg.preparation.changes import Before, find_before, find_earlier, without_left_out
from semiseg.preparation.ordered_map import default_jobs
from semiseg.preparation.scanning import Groups, Plan, scan_source
from semiseg.preparation.store import check_output
from semiseg.preparation.writing import write_set
from semiseg.text import one_line, plural
from semiseg.training.run_folder import RunFolder
from semiseg.training.run_output import Round, RunOutput
from semiseg.workflows.run.budget import Stopwatch, Work
from semiseg.workflows.run.choices import Choice, choose
from semiseg.workflows.run.masks import source_cases
from semiseg.workflows.run.renamed import (
    folds_with_present_names,
    present_names,
    with_present_names,
)
from semiseg.workflows.run.request import RunRequest
from semiseg.workflows.run.rounds import earlier_run, interrupted, relative, with_note
from semiseg.workflows.run.scheme import Decision, decide
from semiseg.workflows.run.trainings import final_split


@dataclasses.dataclass(frozen=True)
class Source:
    """The source, compared with the prepared data.

    Attributes:
        plan: what it contains, with the split of this round.
        decision: how this round is scored.
        changes: sentences on what has changed since the data were prepared.
        prepared: whether there are prepared data that are up to date.
        before: the prepared data.
        decide_again: decides how the round is scored, with groups of patients that belong together.
    """

    plan: Plan
    decision: Decision
    changes: list[str]
    prepared: bool
    before: Before | None
    decide_again: Callable[[Plan, Groups], Decision]

    def grouped(self, data: PreparedData) -> "Source":
        """The same, where patients that belong together by their images stay in one fold or part."""
        groups = data.manifest.groups
        if not groups:
            return self
        decided = self.decide_again(self.plan, groups)
        if decided.split != data.manifest.split:  # too many belong together to keep them so
            return self
        return dataclasses.replace(self, decision=decided)


def read_source(output: RunOutput, request: RunRequest) -> Source:
    """Scan the source, decide how it is scored, and compare it with the prepared data.

    Raises:
        UserError: for an invalid file or option.
    """
    plan = without_left_out(scan_source(request.source, request.how_to_read), output.data)
    before = find_before(output.data)
    last = _last_round(output)
    names = present_names(before, plan)
    if before is not None and any(old != new for old, new in names.items()):
        before, last = with_present_names(before, names), folds_with_present_names(last, names)

    def again(now: Plan, groups: Groups) -> Decision:
        """Decide with the groups; ``now`` may lack cases of the plan that cannot be read."""
        own = dataclasses.replace(now, split=plan.split, redraw=plan.redraw)
        return decide(own, request, before, last, groups)

    decision = decide(plan, request, before, last)
    redraw = None if plan.redraw is None else lambda now, groups: again(now, groups).split
    planned = dataclasses.replace(plan, split=decision.split, redraw=redraw)
    earlier = find_earlier(output.data, planned)
    changes = [] if earlier is None else changes_of_cases(earlier, planned)
    return Source(
        planned, decision, changes, earlier is not None and not changes, before, again
    )  # fmt: skip


def _last_round(output: RunOutput) -> Round:
    """The round whose folds are continued: the present one if it is planned, else the one before."""
    present, past = output.round(), output.past()
    return present if present.scheme is not None or not past else past[-1].round()


def needs_new_round(output: RunOutput, source: Source) -> bool:
    """Whether the results of the present round must be moved away."""
    return bool(source.changes) and (output.started() or interrupted(output))


def prepare_data(output: RunOutput, source: Source, console: Console) -> PreparedData:
    """Prepare the source; cases that did not change are not read again."""
    if not source.prepared:
        plan = source.plan
        check_output(output.data, plan.source)
        console.info(f"{plan.source}: layout '{plan.layout}' ({one_line(plan.evidence)})")
        jobs = default_jobs(len(plan.scan.cases))
        write_set(plan, output.data, find_earlier(output.data, plan), jobs, console)
    return PreparedData(output.data)


def plan_round(
    output: RunOutput,
    data: PreparedData,
    source: Source,
    request: RunRequest,
    from_scratch: bool,
    watch: Stopwatch,
    console: Console,
) -> Round:
    """Plan the trainings of the present round, and store the plan."""
    present, decision = output.round(), source.decision
    split = final_split(data, request, bool(decision.folds))
    work = work_of(data, decision, request, bool(output.past()))
    choice = choose(data, request, split, work, source_cases(request)[0], watch, console)
    held_out = [set(fold) for fold in decision.folds]
    earlier = functools.partial(earlier_run, output, {case.patient for case in data.manifest.cases})
    references = [relative(output, earlier(held)) for held in held_out]
    start = earlier(split.split.test, split.split.validation)
    starts = [*references, relative(output, start)]
    if not held_out and decision.scheme == "held-out":
        test, validation = split.split.test, split.split.validation
        held_out = [set(test) or set(validation)]
        # both networks are scored on the same part, which may have chosen both checkpoints
        reference = earlier(test) if test else earlier((), validation)
        references = [relative(output, reference)]
    notes = []
    if output.past():
        notes = _start_notes(starts, references, from_scratch)
        if not from_scratch:
            notes.append(_unlabelled_note(output, starts, held_out))
    if from_scratch:
        starts = [None] * len(starts)
    planned = with_note(
        present.model_copy(
            update={
                "scheme": decision.scheme,
                "labelled": len(decision.labelled) + len(decision.held_out), "folds": decision.folds,
                "starts": tuple(starts), "references": tuple(references), **_of_choice(choice),
            }
        ),
        *notes,
    )  # fmt: skip
    output.write_round(planned)
    return planned


def _of_choice(choice: Choice) -> dict[str, object]:
    return {
        "method": choice.method,
        "settings": choice.settings,
        "step": None if choice.costs is None else choice.costs.step,
        "prediction": 0.0 if choice.costs is None else choice.costs.prediction,
        "share": None if choice.shares is None else choice.shares.each,
        "reserve": 0.0 if choice.shares is None else choice.shares.reserve,
    }


def _start_notes(
    starts: list[str | None], references: list[str | None], from_scratch: bool
) -> list[str]:
    """How the trainings begin, and what cannot be compared."""
    if from_scratch:
        begun = "The networks were trained from random weights (--from-scratch)."
    elif all(starts):
        begun = "The networks started from the weights of the round before."
    elif any(starts):
        begun = (
            f"{sum(s is not None for s in starts)} of {plural(len(starts), 'network')} started from the "
            "weights of the round before. It has no weights for the others that are free of the labels of "
            "the patients that they are scored on."
        )
    else:
        begun = (
            "The networks started from random weights, since those of the round before have read labels "
            "of patients who are held out now, or who are not in the data under the same name."
        )
    lost = references.count(None)
    uncompared = (
        "The round before has no network that did not read labels of the patients that are held out now, so "
        "its score on the same cases is missing."
    )
    return [begun, uncompared if lost and lost == len(references) else ""]


def _unlabelled_note(output: RunOutput, starts: list[str | None], held_out: list[set[str]]) -> str:
    """Which scored patients were unlabelled training images of the networks that trainings start from."""
    seen: set[str] = set()
    for name, held in zip(starts, held_out, strict=False):
        if name is not None:
            run = RunFolder(output.folder / name)
            if methods.entry(run.config().method).load().reads_unlabelled(run.config()):
                seen |= held & set(run.split().split.train)
    if not seen:
        return ""
    return (
        f"Images of {plural(len(seen), 'scored patient')} were unlabelled training images of the earlier "
        "networks, which did not read their labels."
    )


def work_of(
    data: PreparedData, decision: Decision, request: RunRequest, earlier: bool = False
) -> Work:
    """What the round does; ``earlier``: whether there is an earlier round."""
    folds = bool(decision.folds)
    split = final_split(data, request, folds)
    trained = {c.identifier for c in data.of_patients(split.labelled, labelled=True)}
    held = decision.labelled if folds else split.split.test or split.split.validation
    return Work(
        len(decision.folds) + 1,
        len(data.of_patients(held, labelled=True)),
        len(data.manifest.cases) - len(trained),
        sum(not case.labelled for case in data.manifest.cases),
        earlier,
    )
