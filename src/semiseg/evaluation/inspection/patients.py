"""Findings on names that indicate patients, and the part of each patient."""

import re
from collections import Counter
from collections.abc import Sequence

from semiseg.data.manifest import PARTS, Split
from semiseg.datasets.base import ENDINGS, patient_of
from semiseg.errors import UserError
from semiseg.evaluation.inspection.findings import Finding
from semiseg.evaluation.inspection.measure import CaseFacts
from semiseg.text import listed, plural

# patterns of a patient's name before a suffix, the most reliable first
PATTERNS = (
    r"^(.+?)[_\-. ](?:frame|slice|phase|time|visit|session|ses)[_\-]?\d+$",
    r"^(.*\d.*)[_\-. ][A-Za-z]{0,3}\d+$",
)


def parts_of(split: Split) -> dict[str, str]:
    """Return patient -> part."""
    return {patient: part for part in PARTS for patient in split.part(part)}


def patients(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Return findings on images of different patients whose names look like slices of one."""
    names = {item.case.patient for item in facts}
    for pattern in (*PATTERNS, ENDINGS.pattern):
        groups = _groups(names, pattern)
        several = {stem: own for stem, own in groups.items() if len(own) > 1}
        # one stem for all images, or shared stems for only a few, are not evidence; neither are names of
        # patients with several images, who were found in the names before
        if pattern == PATTERNS[1] and len(names) < len(facts):
            continue
        if len(groups) < 2 or sum(map(len, several.values())) < len(names) / 2:
            continue
        parts = {item.case.patient: item.part for item in facts}
        spread = {s for s, own in several.items() if len({parts[p] for p in own}) > 1}
        chosen = spread or set(several)
        cases = tuple(
            item.name for item in facts
            if any(item.case.patient in several[stem] for stem in chosen)
        )  # fmt: skip
        words = listed(f"{' and '.join(sorted(several[s])[:2])}" for s in sorted(chosen))
        remedy = _remedy(facts, pattern, len(groups))
        where = ", and some of them are in different parts of the split" if spread else ""
        sentence = (
            f"The names of {plural(len(cases), 'image')} look like slices of {len(chosen):,} "
            f"patients, but count as images of different patients{where} ({words}); {remedy}."
        )
        sure = spread and pattern == PATTERNS[0]  # a number alone may have another meaning
        return [Finding("slices-of-a-patient", "serious" if sure else "minor", sentence, cases)]
    return []


def _groups(names: set[str], pattern: str) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        if pattern == ENDINGS.pattern:
            stem = ENDINGS.sub("", name)
        else:
            found = re.search(pattern, name, re.IGNORECASE)
            stem = found.group(1) if found else name
        groups.setdefault(stem, []).append(name)
    return groups


def _remedy(facts: Sequence[CaseFacts], pattern: str, count: int) -> str:
    """Return the option that yields ``count`` patients, or a general hint if none does."""
    try:
        found = Counter(patient_of(item.name, pattern) for item in facts)
    except UserError:
        found = Counter()
    if len(found) == count:
        return f"if so, prepare with --patient-pattern '{pattern}'"
    return "if so, prepare with --patient-pattern, which extracts the patient from a name"
