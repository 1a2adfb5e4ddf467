"""Duplicates and near-duplicates of images, most serious across the parts of a split."""

from collections.abc import Sequence

import numpy as np

from semiseg.data.manifest import PARTS
from semiseg.evaluation.inspection.findings import Finding
from semiseg.evaluation.inspection.measure import CaseFacts
from semiseg.preparation.near_duplicates import MOST_PAIRS, near_duplicate_pairs
from semiseg.text import listed, plural

Pair = tuple[CaseFacts, CaseFacts]
# relation of a pair to the split -> verb, rest of the sentence
SAID = {
    "across-parts": (
        "lie",
        "in different parts of the split, so test scores include training images: {}; give both the "
        "same patient, or leave one out.",
    ),
    "of-different-patients": (
        "count",
        "as images of different patients: {}; leave out one of each, because another split may put "
        "them into different parts.",
    ),
    "of-one-patient": ("belong", "to the same patient: {}; leave out one of each."),
}


def duplicates(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Return findings on identical images and near-duplicates of different patients."""
    groups: dict[str, list[CaseFacts]] = {}
    for item in facts:
        groups.setdefault(item.digest, []).append(item)
    same = [(group[0], other) for group in groups.values() for other in group[1:]]
    # slices and heart phases of one patient are similar by nature; two patients with an identical
    # image are one patient
    one = {frozenset((first.case.patient, second.case.patient)) for first, second in same}
    near = []
    for i, j, _ in near_duplicate_pairs(np.stack([item.signature for item in facts])):
        patients = frozenset((facts[i].case.patient, facts[j].case.patient))
        if len(patients) > 1 and patients not in one:
            near.append((facts[i], facts[j]))
    return [*_by_parts(same, "identical"), *_by_parts(near, "nearly identical"), *_labels(same)]


def _by_parts(pairs: Sequence[Pair], what: str) -> list[Finding]:
    out = []
    kind = "duplicates" if what == "identical" else "near-duplicates"
    for relation, (verb, rest) in SAID.items():
        chosen = [pair for pair in pairs if _relation(pair) == relation]
        if chosen:
            count = plural(len(chosen), "pair")
            if len(pairs) >= MOST_PAIRS:
                count = f"At least {count}"
            named = listed(_worded(pair) for pair in chosen)
            agreed = verb + "s" * (len(chosen) == 1)
            out.append(
                Finding(
                    f"{kind}-{relation}",
                    "serious" if relation == "across-parts" else "minor",
                    f"{count} of {what} images {agreed} {rest.format(named)}",
                    tuple(dict.fromkeys(item.name for pair in chosen for item in pair)),
                    tuple((first.name, second.name) for first, second in chosen),
                )
            )
    return out


def _relation(pair: Pair) -> str:
    first, second = pair
    if first.part != second.part and first.part in PARTS and second.part in PARTS:
        return "across-parts"
    return (
        "of-different-patients" if first.case.patient != second.case.patient else "of-one-patient"
    )


def _worded(pair: Pair) -> str:
    return " and ".join(
        f"{item.name} ({item.part or 'in no part'})" if pair[0].part != pair[1].part else item.name
        for item in pair
    )


def _labels(same: Sequence[Pair]) -> list[Finding]:
    differ = [
        (first, second)
        for first, second in same
        if first.label_digest and second.label_digest and first.label_digest != second.label_digest
    ]
    if not differ:
        return []
    named = listed(f"{first.name} and {second.name}" for first, second in differ)
    return [
        Finding(
            "labels-of-duplicates-differ",
            "minor",
            f"{plural(len(differ), 'pair')} of identical images have different labels: {named}; "
            "keep the better one.",
            tuple(dict.fromkeys(item.name for pair in differ for item in pair)),
            tuple((first.name, second.name) for first, second in differ),
        )
    ]
