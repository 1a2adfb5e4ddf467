"""Patients that stand in two parts, and names that tell of patients where nobody has said so."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from semiseg.data.manifest import PARTS, Split
from semiseg.datasets.base import ENDINGS, patient_of
from semiseg.errors import UserError
from semiseg.evaluation.inspection.findings import Finding
from semiseg.evaluation.inspection.measure import CaseFacts
from semiseg.text import listed, plural

# what a stem before the last number or word may be cut off by, the surest first
PATTERNS = (
    r"^(.+?)[_\-. ](?:frame|slice|phase|time|visit|session|ses)[_\-]?\d+$",
    r"^(.*\d.*)[_\-. ][A-Za-z]{0,3}\d+$",
)


def parts_of(split: Split) -> dict[str, str]:
    """Patient -> part; of one in several parts all, joined by '+'."""
    found: dict[str, list[str]] = {}
    for part in PARTS:
        for patient in split.part(part):
            if part not in found.setdefault(patient, []):
                found[patient].append(part)
    return {patient: "+".join(parts) for patient, parts in found.items()}


def patients(facts: Sequence[CaseFacts], parts: Mapping[str, str]) -> list[Finding]:
    """Findings on patients; ``parts`` as :func:`parts_of` gives them."""
    out = []
    twice = [patient for patient, part in parts.items() if "+" in part]
    if twice:
        cases = tuple(item.name for item in facts if item.case.patient in twice)
        sentence = (
            f"{plural(len(twice), 'patient')} stand{'s' if len(twice) == 1 else ''} in two parts of "
            f"the split: {listed(f'{p} ({parts[p]})' for p in twice)}; prepare the data again, "
            "since nothing that is measured on them is worth anything."
        )
        out.append(Finding("patient-in-two-parts", "serious", sentence, cases))
    return [*out, *_names(facts)]


def _names(facts: Sequence[CaseFacts]) -> list[Finding]:
    """Images that count as different patients, and whose names say that they are one's slices."""
    names = {item.case.patient for item in facts}
    for pattern in (*PATTERNS, ENDINGS.pattern):
        groups = _groups(names, pattern)
        several = {stem: own for stem, own in groups.items() if len(own) > 1}
        # one stem for all, or a few images of one stem among many others, tells nothing
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
        where = " and lie in different parts of the split" if spread else ""
        sentence = (
            f"The names of {plural(len(cases), 'image')} look like slices of {len(chosen):,} "
            f"patients, but each counts as a patient of its own{where} ({words}); {remedy}."
        )
        sure = spread and pattern == PATTERNS[0]  # numbers alone may mean something else
        return [Finding("slices-of-a-patient", "serious" if sure else "look", sentence, cases)]
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
    """An option that was tried on all identifiers and gives as many patients, or a general one."""
    try:
        found = Counter(patient_of(item.name, pattern) for item in facts)
    except UserError:
        found = Counter()
    if len(found) == count:
        return f"if so, prepare with --patient-pattern '{pattern}'"
    return "if so, prepare with --patient-pattern, which says how a name tells its patient"
