"""The result of an evaluation in plain words, for the top of a page."""

import statistics
from collections.abc import Mapping
from typing import Any

from semiseg.evaluation.intervals import interval_words
from semiseg.evaluation.summary import possible
from semiseg.reporting.results import Scored
from semiseg.text import joined, plural

LEAST_VALUES = 3  # cases for a median


def verdict(scored: Scored) -> list[str]:
    """Sentences on how good masks are, which structures are missed, and which are false positives."""
    summary = scored.row["summary"]
    values = list(scored.dice[None].values())
    if not values:
        return [
            f"None of {plural(summary['cases'], 'image')} contains a structure, so nothing is measured."
        ]
    middle = statistics.median(values)
    count = plural(len(values), "image")
    if len(values) < LEAST_VALUES:
        shown = joined([f"{value:.2f}" for value in values])
        first = (
            f"On {count} not used for training, the overlap with the reference (Dice) is {shown}"
        )
    else:
        first = (
            f"On images that were not used for training, the median overlap with the reference (Dice) is "
            f"{middle:.2f} ({count}; lowest {min(values):.2f}, highest {max(values):.2f})"
        )
    out = [f"{first}. A Dice of 1 is perfect, 0 is no overlap."]
    if scored.row["on"] == "validation":
        out.append("The same images chose the checkpoint, so the numbers are optimistic.")
    if len(summary["classes"]) > 1:
        means = {name: item["dice"]["mean"] for name, item in summary["classes"].items()}
        known = {name: mean for name, mean in means.items() if mean is not None}
        if known:
            worst = min(known, key=lambda name: known[name])
            each = joined([f"{name} {mean:.2f}" for name, mean in known.items()])
            out.append(f"Mean by structure: {each}; the weakest is {worst}.")
    out += _troubles(summary["classes"], scored.dice)
    interval = summary["mean_over_classes"]["dice"].get("interval")
    words = interval_words(interval, summary["patients"]) if "patients" in summary else ""
    return [*out, *([words] if words else [])]


def _troubles(
    classes: Mapping[str, Any], dice: Mapping[str | None, Mapping[str, float]]
) -> list[str]:
    """What is missed in the cases that contain it, and marked in those that do not.

    A structure is also missed if something is marked, but not on it: its Dice is 0, as that of marks in
    cases without the structure, which are counted as spurious.
    """
    missed, marked, able = [], [], False
    for name, item in classes.items():
        statuses = item["cases"]
        of = possible(statuses)
        zero = sum(value == 0 for value in dice.get(name, {}).values())
        untouched = max(zero - statuses["spurious"], statuses["missing"])
        if untouched:
            missed.append(f"{name} in {untouched} of the {of['missing']} images that contain it")
        if statuses["spurious"]:
            marked.append(
                f"{name} in {statuses['spurious']} of the {of['spurious']} images without it"
            )
        able = able or of["spurious"] > 0
    out = [
        f"The network misses {joined(missed)}." if missed
        else "The network finds a part of every structure in every image that contains it."
    ]  # fmt: skip
    if marked:
        out.append(f"It also marks {joined(marked)}.")
    elif able:
        out.append("It marks nothing in images without the structure.")
    return out
