"""The scores of a round, and those of the earlier round's networks on the same cases."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from semiseg.console import Console
from semiseg.data.manifest import Case, PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.intervals import interval_of_mean
from semiseg.evaluation.protocols import CaseScore
from semiseg.evaluation.summary import Summary, summarise, write_scores
from semiseg.evaluation.table import table_lines
from semiseg.files import atomic_output
from semiseg.text import plural
from semiseg.training.run_output import Round, RunOutput
from semiseg.workflows.evaluate import evaluate, scores_of

DIFFERENCE = "difference.json"


def score_held_out(
    output: RunOutput, data: PreparedData, device: str, console: Console
) -> tuple[Summary, list[Case]] | None:
    """Score the test part, else the validation part; None if neither has labels."""
    split = output.training.split().split
    for part, patients in (("test", split.test), ("validation", split.validation)):
        cases = data.of_patients(patients, labelled=True)
        if cases:
            summary = evaluate(
                output.training.folder, on=part, data=data.folder, device=device, console=console
            )
            return summary, cases
    return None


def score_folds(
    output: RunOutput, data: PreparedData, planned: Round, device: str, console: Console
) -> tuple[Summary, list[Case]]:
    """Score every labelled patient by the network that was not trained on it."""
    scores: list[CaseScore] = []
    cases: list[Case] = []
    for index, fold in enumerate(planned.folds):
        own = data.of_patients(fold, labelled=True)
        found, protocol, rule = scores_of(output.fold(index).folder, data, own, device, console)
        scores, cases = [*scores, *found], [*cases, *own]
    summary = summarise(scores, protocol, rule, patients=_patients(cases))
    origin: dict[str, str | bool] = {
        "run": str(output.cross_validation),
        "part": "cross-validation",
    }
    write_scores(output.cross_validation, summary, origin)
    console.info(f"cross-validation: {plural(len(cases), 'case')}")
    for line in table_lines(summary):
        console.info(line)
    return summary, cases


def score_earlier(
    output: RunOutput,
    data: PreparedData,
    planned: Round,
    now: Summary,
    cases: Sequence[Case],
    device: str,
    console: Console,
) -> Summary | None:
    """Score the earlier round's networks on the cases of this round, and store the difference.

    Returns:
        None if there is no earlier round, or if every earlier network has read labels of these cases.
    """
    if not any(planned.references):
        return None
    held = planned.folds or (tuple(dict.fromkeys(case.patient for case in cases)),)
    scores: list[CaseScore] = []
    scored: list[Case] = []
    for patients, name in zip(held, planned.references, strict=True):
        own = [case for case in cases if case.patient in set(patients)]
        if name is None or not own:
            continue
        try:
            found, protocol, rule = scores_of(output.folder / name, data, own, device, console)
        except UserError as error:
            console.warn(f"the earlier network was not scored on the same cases: {error}")
            return None
        scores, scored = [*scores, *found], [*scored, *own]
    if not scores:
        return None
    summary = summarise(scores, protocol, rule, patients=_patients(scored))
    write_scores(output.earlier, summary, {"part": "the earlier round's networks"})
    _write_difference(output.earlier / DIFFERENCE, now, summary, scored)
    return summary


def _write_difference(path: Path, now: Summary, before: Summary, cases: Sequence[Case]) -> None:
    """Write the gain in Dice per case, paired, with its interval over patients."""
    new, old = case_dice(now), case_dice(before)
    gains: dict[str, list[float]] = {}
    for case in cases:
        if case.identifier in new and case.identifier in old:
            gain = new[case.identifier] - old[case.identifier]
            gains.setdefault(case.patient, []).append(gain)
    values = [gain for own in gains.values() for gain in own]
    content = {
        "dice": sum(values) / len(values) if values else None,
        "interval": interval_of_mean(gains),
        "cases": len(values),
        "patients": len(gains),
    }
    with atomic_output(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def case_dice(summary: Summary) -> dict[str, float]:
    """Case -> Dice, mean over its classes."""
    found: dict[str, list[float]] = {}
    for row in summary.scores:
        if row.dice is not None:
            found.setdefault(row.case, []).append(row.dice)
    return {case: sum(values) / len(values) for case, values in found.items()}


def _patients(cases: Sequence[Case]) -> Mapping[str, str]:
    return {case.identifier: case.patient for case in cases}
