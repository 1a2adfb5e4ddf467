"""The split of a data set after its images are read: what belongs together stays in one part."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.data.manifest import PARTS, Split
from semiseg.datasets.patients import shared_stems
from semiseg.preparation.near_duplicates import near_duplicate_pairs
from semiseg.preparation.records import Record, unpacked
from semiseg.preparation.scanning import Plan
from semiseg.text import listed, plural

Pairs = list[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Settled:
    """The split of a data set whose images were read.

    Attributes:
        split: the split.
        groups: patients that belong together, also where the split separates them.
        notes: sentences about both.
    """

    split: Split
    groups: tuple[tuple[str, ...], ...]
    notes: list[str]


def settled(plan: Plan, records: Mapping[str, Record]) -> Settled:
    """The split that the images decide.

    In a drawn split, patients with nearly identical images, and patients whose names look like slices of
    one patient, stay in one part, unless half of the patients would belong together. A given split is
    kept, and notes say what it separates.

    Args:
        plan: the plan, with a split that was made before any image was read.
        records: records of all cases.
    """
    patients = {case.identifier: case.patient for case in plan.scan.cases}
    alike = _alike(records, patients)
    # a pattern says what a patient is
    stems = {} if plan.options.patient_pattern else shared_stems(patients.values())
    labelled = {case.patient for case in plan.scan.cases if case.has_label}
    named = _groups((own[0], other) for own in stems.values() for other in own[1:])
    both = _groups([*_edges(named), *((patients[a], patients[b]) for a, b in alike)])
    for groups in (both, named) if plan.redraw is not None else ():
        largest = max((len(labelled.intersection(group)) for group in groups), default=0)
        if plan.redraw is not None and groups and 2 * largest <= len(labelled):
            split = plan.redraw(plan, groups)
            apart = _separated(split, alike, stems, patients)
            notes = [_note_on_names(stems)] if stems and not apart else []
            if alike and groups is both and not apart:
                notes.append(
                    f"{plural(len(alike), 'pair')} of nearly identical images of different patients "
                    f"({_worded(alike)}) stay{'s' if len(alike) == 1 else ''} in one part of the split."
                )
            return Settled(split, tuple(both), [*notes, *apart])
    notes = _separated(plan.split, alike, stems, patients)
    return Settled(plan.split, tuple(both), notes)


def _alike(records: Mapping[str, Record], patients: Mapping[str, str]) -> Pairs:
    """Pairs of nearly identical images of different patients."""
    by_length: dict[int, list[tuple[str, NDArray[np.float32]]]] = {}
    for name, record in records.items():
        vector = unpacked(record.signature)
        by_length.setdefault(len(vector), []).append((name, vector))
    pairs = []
    for own in by_length.values():
        names = [name for name, _ in own]
        for i, j, _ in near_duplicate_pairs(np.stack([vector for _, vector in own])):
            if patients[names[i]] != patients[names[j]]:
                pairs.append((names[i], names[j]))
    return pairs


def _edges(groups: Iterable[Sequence[str]]) -> list[tuple[str, str]]:
    return [(group[0], other) for group in groups for other in group[1:]]


def _groups(edges: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Connected names, each group in the order of appearance."""
    group_of: dict[str, list[str]] = {}
    for one, other in edges:
        first, second = group_of.setdefault(one, [one]), group_of.setdefault(other, [other])
        if first is not second:
            first += second
            for name in second:
                group_of[name] = first
    return list(dict.fromkeys(tuple(group) for group in group_of.values()))


def _separated(
    split: Split, alike: Pairs, stems: Mapping[str, Sequence[str]], patients: Mapping[str, str]
) -> list[str]:
    """Notes about what a split puts into different parts."""
    part = {patient: name for name in PARTS for patient in split.part(name)}
    apart = [
        (a, b) for a, b in alike
        if patients[a] in part and patients[b] in part and part[patients[a]] != part[patients[b]]
    ]  # fmt: skip
    notes = []
    if apart:
        notes.append(
            f"{plural(len(apart), 'pair')} of nearly identical images {'is' if len(apart) == 1 else 'are'} "
            f"in different parts of the split ({_worded(apart)}), so scores include images that were "
            "trained on: look at them with 'semiseg inspect'."
        )
    spread = {
        s: own for s, own in stems.items() if len({part.get(one) for one in own} - {None}) > 1
    }
    if spread:
        notes.append(
            f"the names of {plural(sum(map(len, spread.values())), 'patient')} in different parts of the "
            f"split look like slices of {len(spread):,} ({_first(spread)}): if so, prepare with "
            "--patient-pattern."
        )
    return notes


def _note_on_names(stems: Mapping[str, Sequence[str]]) -> str:
    return (
        f"names such as {_first(stems)} may be slices of one patient and stay in one part of the split; "
        "--patient-pattern says what a patient is."
    )


def _first(stems: Mapping[str, Sequence[str]]) -> str:
    own = next(iter(stems.values()))
    return f"{own[0]} and {own[1]}"


def _worded(pairs: Pairs) -> str:
    return listed((f"{one} and {other}" for one, other in pairs), 3)
