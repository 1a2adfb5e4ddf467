"""The same image twice, or nearly: worst where one copy trains and the other measures."""

from collections.abc import Callable, Sequence

import numpy as np

from semiseg.data.likeness import MOST_PAIRS, like_pairs
from semiseg.data.manifest import PARTS
from semiseg.data.splits import plural
from semiseg.evaluation.inspection.findings import Finding, listed
from semiseg.evaluation.inspection.measure import CaseFacts

Pair = tuple[CaseFacts, CaseFacts]


def duplicates(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Findings on identical images and on near-duplicates of different patients."""
    groups: dict[str, list[CaseFacts]] = {}
    for item in facts:
        groups.setdefault(item.digest, []).append(item)
    same = [(group[0], other) for group in groups.values() for other in group[1:]]
    near = [
        (facts[i], facts[j])
        for i, j, _ in like_pairs(np.stack([item.signature for item in facts]))
        # of one patient, neighbouring slices and phases of the heart are alike by nature
        if facts[i].digest != facts[j].digest and facts[i].case.patient != facts[j].case.patient
    ]
    return [*_by_parts(same, "identical"), *_by_parts(near, "nearly identical"), *_labels(same)]


def _by_parts(pairs: Sequence[Pair], what: str) -> list[Finding]:
    kind = "duplicates" if what == "identical" else "near-duplicates"
    own = "" if kind == "duplicates" else " of different patients"

    def apart(pair: Pair) -> bool:
        return pair[0].part != pair[1].part and all(item.part in PARTS for item in pair)

    def patients(pair: Pair) -> bool:
        return pair[0].case.patient != pair[1].case.patient

    tests: list[tuple[Callable[[Pair], bool], str, str]] = [
        (
            apart, "across-parts",
            f"{{}} of {what} images lie in different parts of the split, so that what is measured "
            "was trained on: {}; give both the same patient or leave one out.",
        ),
        (
            lambda p: not apart(p) and patients(p), "of-different-patients",
            f"{{}} of {what} images{own} count as different patients: {{}}; leave one of each "
            "out, or they may come into different parts of another split.",
        ),
        (
            lambda p: not apart(p) and not patients(p), "of-one-patient",
            f"{{}} of {what} images belong to the same patient: {{}}; leave one of each out.",
        ),
    ]  # fmt: skip
    out = []
    for belongs, suffix, sentence in tests:
        chosen = [pair for pair in pairs if belongs(pair)]
        if not chosen:
            continue
        count = "At least " if len(pairs) >= MOST_PAIRS else ""
        named = listed(_worded(pair) for pair in chosen)
        out.append(
            Finding(
                f"{kind}-{suffix}",
                "serious" if suffix == "across-parts" else "look",
                sentence.format(count + plural(len(chosen), "pair"), named),
                tuple(dict.fromkeys(item.name for pair in chosen for item in pair)),
                tuple((first.name, second.name) for first, second in chosen),
            )
        )
    return out


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
            "look",
            f"{plural(len(differ), 'pair')} of identical images carry different labels: {named}; "
            "keep the better one.",
            tuple(dict.fromkeys(item.name for pair in differ for item in pair)),
            tuple((first.name, second.name) for first, second in differ),
        )
    ]
