"""``semiseg run --dry-run``: what would be done, and how long it takes."""

import dataclasses
import tempfile
import time
from pathlib import Path

from semiseg.console import Console, Quiet
from semiseg.data.manifest import PreparedData, Split
from semiseg.preparation.scanning import Plan
from semiseg.preparation.writing import write_set
from semiseg.text import duration, plural
from semiseg.training.run_folder import RunSplit
from semiseg.training.run_output import RunOutput
from semiseg.workflows.run.budget import Stopwatch, Work
from semiseg.workflows.run.choices import choose
from semiseg.workflows.run.masks import source_cases
from semiseg.workflows.run.planning import Source
from semiseg.workflows.run.request import RunRequest

SAMPLE = 4  # patients that are prepared to measure, labelled and unlabelled each


def say_plan(
    output: RunOutput, source: Source, request: RunRequest, watch: Stopwatch, console: Console
) -> None:
    """Print the plan of a round. A few patients are prepared in a temporary folder and trained on."""
    plan, decision = source.plan, source.decision
    for sentence in source.changes:
        console.info(f"since the last call: {sentence}")
    console.info(decision.sentence())
    cases = plan.scan.cases
    known = set(decision.labelled)
    held = set(decision.split.test) | set(decision.split.validation)
    labelled = [c for c in cases if c.has_label and c.patient in known and c.patient not in held]
    work = Work(
        len(decision.folds) + 1,
        len(labelled) if decision.folds else sum(c.has_label and c.patient in held for c in cases),
        len(cases) - len(labelled),
    )
    measured = Stopwatch(watch.clock, watch.clock())  # the time of this call does not count
    with tempfile.TemporaryDirectory(prefix="semiseg-") as folder:
        sample = _sample(plan, decision.labelled)
        begun = time.monotonic()
        write_set(sample, Path(folder) / "data", None, 1, Quiet())
        reading = (time.monotonic() - begun) / len(sample.scan.cases)
        data = PreparedData(Path(folder) / "data")
        patients = tuple(p for p in decision.labelled if p in set(sample.split.train))
        split = RunSplit(split=sample.split, labelled=patients)
        whole = dataclasses.replace(request, labelled="all")
        choice = choose(
            data, whole, split, work, source_cases(request)[0], measured, console, measured=True
        )
    assert choice.costs is not None
    each = choice.costs.step * choice.iterations if choice.shares is None else choice.shares.each
    preparing = 0.0 if source.prepared else reading * len(cases)
    afterwards = work.afterwards(choice.costs)
    total = preparing + each * work.trainings + afterwards
    if request.seconds is not None:
        total = max(total, request.seconds)
    extra = "" if request.seconds is not None else ", without validation"
    console.info(
        f"dry run: preparing {plural(len(cases), 'image')} {duration(preparing)}; "
        f"{plural(work.trainings, 'training')} of {choice.iterations:,} iterations of about "
        f"{choice.costs.step:.2g} s, {duration(each)} each; scoring {plural(work.scored, 'case')}, "
        f"predicting {plural(work.masks, 'image')} and the page {duration(afterwards)}; "
        f"together about {duration(total)}{extra}. Nothing was written"
    )


def _sample(plan: Plan, labelled: tuple[str, ...]) -> Plan:
    """A plan of a few labelled and unlabelled training patients."""
    train = set(plan.split.train)
    chosen = [p for p in labelled if p in train][:SAMPLE]
    others = [p for p in plan.split.train if p not in set(labelled)][:SAMPLE]
    patients = {*chosen, *others}
    cases = [case for case in plan.scan.cases if case.patient in patients]
    scan = dataclasses.replace(plan.scan, cases=tuple(cases), split=None)
    return dataclasses.replace(
        plan, scan=scan, split=Split(train=(*chosen, *others), origin="sample")
    )
