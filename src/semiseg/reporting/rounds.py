"""The rounds of ``semiseg run`` on its page: what has changed, and the scores side by side."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from semiseg.evaluation.stored_summary import Count, Finite, read_summary
from semiseg.reporting.results import Scored, held_out_scores, read_run, scored_from
from semiseg.reporting.tables import shown_interval
from semiseg.stored import read_stored
from semiseg.text import plural
from semiseg.training.run_output import Round, RunOutput

NONE = "-"
HEADS = ("round", "labelled patients", "scored by", "cases", "mean DSC [%]", "95% interval",
         "mean DSC [%] on this round's cases")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Story:
    """What the page says about the rounds.

    Attributes:
        lead: sentences at the top of the page.
        sentences: what has changed and what the change is worth.
        heads, rows: the table of rounds; empty if there is only one.
    """

    lead: list[str]
    sentences: list[str]
    heads: tuple[str, ...]
    rows: list[list[str]]


def read_cross_validation(output: RunOutput) -> Scored | None:
    """The pooled scores of the folds; None if there is no finished cross-validation.

    Raises:
        UserError: if a file is damaged.
    """
    if not (output.cross_validation / "summary.json").is_file():
        return None
    return scored_from(
        output.training, output.cross_validation / "summary.json", "cross-validation"
    )


def cross_validation_sentence(output: RunOutput) -> str:
    """How the cross-validation was done."""
    folds = output.round().folds
    patients = sum(len(fold) for fold in folds)
    return (
        f"{plural(patients, 'patient')} in {plural(len(folds), 'fold')}: every patient was scored by a "
        "network that was not trained on it. The final network was trained on all of them in the same "
        "way; it was not scored itself."
    )


class Difference(BaseModel):
    """The content of ``difference.json``: the gain in Dice per case since the earlier round."""

    dice: Finite | None
    interval: tuple[Finite, Finite] | None
    cases: Count
    patients: Count


def read_story(output: RunOutput) -> Story:
    """Read the rounds of an output folder.

    Raises:
        UserError: if a file is damaged.
    """
    present = output.round()
    lead = []
    if present.scheme == "none":
        lead.append(
            f"With {plural(present.labelled, 'labelled patient')} nothing can be said about the quality. "
            "Look at the pictures, and label at least three patients, better ten."
        )
    every = [*output.past(), output]
    if len(every) == 1:
        return Story([*lead, *present.notes], [], (), [])
    earlier = _summary(output.earlier / "summary.json")
    rows = [_row(other, earlier if other is every[-2] else None) for other in every[:-1]]
    now = _row(output, None)
    now[-1] = now[4]
    sentences = [
        f"Since round {present.number - 1}: {' '.join(present.changes)}",
        *present.notes,
        *_gain(output, present),
    ]
    return Story(lead, sentences, HEADS, [*rows, now])


def _gain(output: RunOutput, present: Round) -> list[str]:
    path = output.earlier / "difference.json"
    found = read_stored(path, Difference, "run 'semiseg run' again") if path.exists() else None
    if found is None or found.dice is None:
        return []
    low_high = found.interval
    spread = (
        f" (95% interval {100 * low_high[0]:+.1f} to {100 * low_high[1]:+.1f}, bootstrap over "
        f"{plural(found.patients, 'patient')})"
        if low_high
        else ""
    )
    return [
        f"On the same {plural(found.cases, 'case')}, the mean DSC per case differs from that of the "
        f"network of round {present.number - 1} by {100 * found.dice:+.1f} points{spread}."
    ]


def _row(output: RunOutput, on_present: Mapping[str, Any] | None) -> list[str]:
    """One line of the table; ``on_present``: its networks' scores on the cases of the present round."""
    content = output.round()
    summary, part = _scores(output)
    by = {"held-out": f"{part} part", "cross-validation": "cross-validation"}
    return [
        str(content.number), str(content.labelled), by.get(content.scheme or "", NONE),
        NONE if summary is None else str(summary["cases"]), *_dice(summary), _dice(on_present)[0],
    ]  # fmt: skip


def _dice(summary: Mapping[str, Any] | None) -> tuple[str, str]:
    """The mean Dice and its interval."""
    found = {} if summary is None else summary["mean_over_classes"]["dice"]
    mean = found.get("mean")
    return (
        NONE if mean is None else f"{100 * mean:.1f}",
        shown_interval("dice", found.get("interval")),
    )


def _scores(output: RunOutput) -> tuple[Mapping[str, Any] | None, str]:
    """The summary of a round's scores, and the scored part."""
    crossed = _summary(output.cross_validation / "summary.json")
    if crossed is not None:
        return crossed, "cross-validation"
    scored = held_out_scores(read_run(output.training.folder))
    return (None, "") if scored is None else (scored.row["summary"], scored.row["on"])


def _summary(path: Path) -> dict[str, Any] | None:
    """The content of a ``summary.json``; None if it does not exist."""
    return read_summary(path) if path.exists() else None
