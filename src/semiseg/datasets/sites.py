"""Folders above those of patients, such as sites, that hold patients of the same names."""

from collections.abc import Iterator, Sequence

from semiseg.datasets.base import patient_of
from semiseg.datasets.pairs import Pair
from semiseg.datasets.patient_endings import is_ending, without_endings
from semiseg.errors import UserError
from semiseg.text import joined, listed

MOST_SITES = 5  # that a note names


def notes_on_sites(
    pairs: Sequence[Pair], patients: Sequence[str], pattern: str | None
) -> list[str]:
    """A note if patients of one name are in several folders that are not visits or kinds of images.

    They count as one patient: two patients taken for one stay in one part of the split, while one patient
    taken for two may be in training and test.

    Args:
        pairs: the images.
        patients: the patient of each.
        pattern: the user's ``--patient-pattern``, which says what a patient is.
    """
    if pattern is not None:
        return []
    above = [_above(pair, patient) for pair, patient in zip(pairs, patients, strict=True)]
    sites: dict[str, set[tuple[str, ...]]] = {}
    for patient, place in zip(patients, above, strict=True):
        if place is not None:
            sites.setdefault(patient, set()).add(place)
    shared = {patient: found for patient, found in sites.items() if len(found) > 1}
    if not shared:
        return []
    names = sorted({"/".join(place) for found in shared.values() for place in found})
    where = joined(names) if len(names) <= MOST_SITES else listed(names)
    whole = [(place, patient) for place, patient in zip(above, patients, strict=True)]
    choice = _pattern([pair.identifier for pair in pairs], whole)
    return [
        f"the folders {where} hold patients of the same names ({listed(shared, 3)}): each name counts as one "
        f"patient. If these are different people, "
        f"{choice or 'list the images in a CSV with a column patient'}."
    ]


def _above(pair: Pair, patient: str) -> tuple[str, ...] | None:
    """The folders above that of the patient, or of the file with the patient's name; None if neither."""
    own = pair.identifier.removeprefix(f"{pair.prefix}_")
    for index, name in enumerate((*pair.place, own)):
        if without_endings(name, general=True) == patient:
            return tuple(folder for folder in pair.place[:index] if not is_ending(folder))
    return None


def _pattern(identifiers: Sequence[str], patients: Sequence[object]) -> str | None:
    """The ``--patient-pattern`` that gives ``patients`` of ``identifiers``; None if no simple one does."""
    for pattern in _patterns():
        try:
            found = [patient_of(name, pattern) for name in identifiers]
        except UserError:
            continue
        both = set(zip(found, patients, strict=True))
        if len(both) == len(set(found)) == len(set(patients)):
            return f"--patient-pattern '{pattern}' separates them"
    return None


def _patterns() -> Iterator[str]:
    for folders in (1, 2, 3):
        yield "^(" + "[^_]+_" * folders + "[^_]+)"
    yield r"^([^_]+_.*?\d+)"
    yield r"^([^_]+_[^_]+_.*?\d+)"
