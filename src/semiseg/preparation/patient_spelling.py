"""Patients whose names differ only in their spelling: ``P01``, ``p01``, ``P 1``.

They count as one: two patients taken for one stay in one part of the split, while one patient taken for two
may be in training and test.
"""

import dataclasses
from collections.abc import Mapping

from semiseg.data.manifest import PARTS, Split
from semiseg.datasets.base import Scan
from semiseg.datasets.spelling import one_spelling
from semiseg.errors import UserError
from semiseg.text import joined, listed, plural


def with_one_spelling(scan: Scan) -> Scan:
    """The scan in which patients whose names differ only in their spelling are one, with a note.

    Raises:
        UserError: if they are in different parts of the scan's split.
    """
    respelt = one_spelling(case.patient for case in scan.cases)
    if not respelt:
        return scan
    cases = tuple(
        dataclasses.replace(case, patient=respelt.get(case.patient, case.patient))
        for case in scan.cases
    )
    split = scan.split and _respelt(scan.split, respelt)
    return dataclasses.replace(scan, cases=cases, split=split, notes=(_note(respelt), *scan.notes))


def notes_on_spelling(scan: Scan, split: Split) -> tuple[str, ...]:
    """A note if patients whose names differ only in their spelling are in different parts of ``split``."""
    respelt = one_spelling(case.patient for case in scan.cases)
    part_of = {patient: part for part in PARTS for patient in split.part(part)}
    apart = [
        f"{other} in {part_of[other]} and {name} in {part_of[name]}"
        for name, other in respelt.items()
        if name in part_of and other in part_of and part_of[name] != part_of[other]
    ]
    if not apart:
        return ()
    return (
        f"names of patients that differ only in their spelling are in different parts of the given split "
        f"({listed(apart)}): if they are one person, correct the names and the split.",
    )


def _note(respelt: Mapping[str, str]) -> str:
    together: dict[str, list[str]] = {}
    for name, other in respelt.items():
        together.setdefault(other, [other]).append(name)
    shown = listed((joined([_shown(name) for name in names]) for names in together.values()), 3)
    return (
        f"{plural(len(together), 'patient')} {'has' if len(together) == 1 else 'have'} names in several "
        f"spellings ({shown}), which count as one: if these are different people, give them different names."
    )


def _shown(name: str) -> str:
    return f"'{name}'" if name != name.strip() or " " in name else name


def _respelt(split: Split, respelt: Mapping[str, str]) -> Split:
    """``split`` with one spelling of each patient."""
    part_of: dict[str, tuple[str, str]] = {}
    for part in PARTS:
        for name in split.part(part):
            patient = respelt.get(name, name)
            other, first = part_of.setdefault(patient, (part, name))
            if other != part:
                raise UserError(
                    f"The split ({split.origin}) has '{first}' in {other} and '{name}' in {part}, which look "
                    "like one patient: put all images of a patient into one part, or give different patients "
                    "names that differ in more than capitals, separators and leading zeros."
                )

    def one(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(respelt.get(name, name) for name in names))

    order = split.labelled_order
    return split.model_copy(
        update={part: one(split.part(part)) for part in PARTS}
        | {"labelled_order": None if order is None else one(order)}
    )
