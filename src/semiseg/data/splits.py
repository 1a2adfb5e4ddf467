"""Splits by patient, and the choice of labelled patients.

Patients are ordered by a hash of the seed and their name, so that a draw depends neither on the order
of files nor on the version of a library, and a larger budget always contains a smaller one.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from semiseg.data.budget import at_most
from semiseg.data.manifest import PARTS, Case, Split
from semiseg.errors import UserError
from semiseg.files import atomic_output, check_file
from semiseg.json_text import TwiceError, parse_json
from semiseg.text import plural

FEWEST_TO_DIVIDE = 5  # labelled patients; with fewer, all are needed for training


def seeded_order(patients: Iterable[str], seed: int, purpose: str) -> tuple[str, ...]:
    """A permutation of ``patients`` that depends only on their names, the seed and the purpose."""

    def key(patient: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{purpose}\0{seed}\0{patient}".encode()).digest(), patient

    return tuple(sorted(set(patients), key=key))


def make_split(
    patients: Sequence[str],
    labelled_patients: Sequence[str],
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    groups: Sequence[Sequence[str]] = (),
) -> Split:
    """Divide the labelled patients at random; unlabelled ones join the training part.

    With fewer than five labelled patients, all are for training, and ``origin`` says so. Otherwise
    each part with a fraction above zero gets at least one patient.

    Args:
        patients: all patients.
        labelled_patients: those with labels.
        fractions: of the training, validation and test parts.
        seed: seed of the order.
        groups: patients that stay in one part, unlabelled ones too. A part may then have fewer patients
            than its fraction.

    Raises:
        UserError: for fractions that are negative or do not sum to 1.
    """
    if not (min(fractions) >= 0 and abs(sum(fractions) - 1) <= 1e-6):
        raise UserError(
            f"The split's fractions {fractions} must be 0 or more and sum to 1, such as 0.7,0.1,0.2."
        )
    labelled = seeded_order(labelled_patients, seed, "split")
    count = len(labelled)
    if count < FEWEST_TO_DIVIDE:
        return Split(
            train=tuple(dict.fromkeys(patients)),
            origin=f"only {_patients(count)} labelled: all serve for training, none is held back "
            "for validation or testing",
        )
    validation, test = (
        max(int(count * part + 0.5), 1) if part > 0 else 0 for part in fractions[1:]
    )
    members = {patient: tuple(group) for group in groups for patient in group}
    units = list(dict.fromkeys(members.get(patient, (patient,)) for patient in labelled))
    first, units = take_units(units, validation, set(labelled))
    second, _ = take_units(units, test, set(labelled))
    held = {*first, *second}
    return Split(
        train=tuple(patient for patient in dict.fromkeys(patients) if patient not in held),
        validation=first,
        test=second,
        origin=f"drawn by seed {seed}: {' / '.join(f'{100 * part:g}' for part in fractions)} "
        "percent of the labelled patients",
    )


def take_units(
    units: Sequence[tuple[str, ...]], count: int, labelled: set[str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The first units with at most ``count`` labelled patients in total, and the other units.

    If every unit has more, the smallest one.
    """
    taken: list[tuple[str, ...]] = []
    left = count
    for unit in units:
        size = len(labelled.intersection(unit))
        if size <= left:
            taken.append(unit)
            left -= size
    if not taken and count and len(units) > 1:  # the last one trains
        taken.append(min(units, key=lambda unit: len(labelled.intersection(unit))))
    return tuple(p for unit in taken for p in unit), [unit for unit in units if unit not in taken]


def read_split(
    path: Path | str, patients: Sequence[str], labelled_patients: Sequence[str]
) -> Split:
    """Read a split from JSON: ``{"train": [...], "validation": [...], "test": [...]}``.

    ``labelled_order`` may list training patients in the order of labelling. Unlabelled patients that
    the file does not name join the training part; labelled ones are unused.

    Raises:
        UserError: for an unreadable file, other keys, unknown patients, or a patient in two parts.
    """
    path = Path(path)
    check_file(path)
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path.") from None
    except TwiceError as error:
        raise UserError(f"{path}: {error}: keep one of them.") from None
    except ValueError:
        raise UserError(
            f'{path} is not JSON: write {{"train": [...], "validation": [...], "test": [...]}}.'
        ) from None
    known = {*PARTS, "labelled_order", "origin"}
    if not isinstance(content, dict) or not content.keys() <= known or "train" not in content:
        raise UserError(f"{path} needs the keys train, validation, test (lists of patients).")
    lists: dict[str, tuple[str, ...]] = {}
    for name in (*PARTS, "labelled_order"):
        entries = content.get(name) or []
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise UserError(f"{path}: '{name}' must be a list of patients, each in quotes.")
        lists[name] = tuple(entries)
    named = {patient for name in PARTS for patient in lists[name]}
    free = set(patients) - set(labelled_patients) - named
    split = Split(
        train=(*lists["train"], *(p for p in dict.fromkeys(patients) if p in free)),
        validation=lists["validation"],
        test=lists["test"],
        labelled_order=lists["labelled_order"] or None,
        origin=f"from {path.name}",
    )
    check_split(split, patients, str(path))
    return split


def write_split(path: Path | str, split: Split) -> None:
    """Write a split as JSON that :func:`read_split` reads.

    Raises:
        UserError: if the file cannot be written.
    """
    content: dict[str, list[str]] = {name: list(split.part(name)) for name in PARTS}
    if split.labelled_order is not None:
        content["labelled_order"] = list(split.labelled_order)
    with atomic_output(Path(path)) as partial:
        text = json.dumps({**content, "origin": split.origin}, indent=1)
        partial.write_text(text + "\n", encoding="utf-8")


def check_split(split: Split, patients: Iterable[str], name: str = "The split") -> None:
    """Validate a split.

    Raises:
        UserError: for a patient in two parts, a duplicate or unknown patient, or no training patient.
    """
    known = set(patients)
    where: dict[str, str] = {}
    for part in PARTS:
        for patient in split.part(part):
            if patient in where:
                twice = (
                    f"in {where[patient]} and in {part}"
                    if where[patient] != part
                    else f"twice in {part}"
                )
                raise UserError(f"{name}: patient '{patient}' is {twice}: name each patient once.")
            if patient not in known:
                raise UserError(
                    f"{name}: patient '{patient}' in {part} is not among the {len(known)} patients "
                    f"of the data (for example '{min(known, default='')}'): correct the name."
                )
            where[patient] = part
    if not split.train:
        raise UserError(
            f"{name} leaves no patient for training: give the training part at least one."
        )
    for patient in split.labelled_order or ():
        if where.get(patient) != "train":
            raise UserError(
                f"{name}: patient '{patient}' in labelled_order is not a training patient: remove it."
            )
    if split.labelled_order and len(set(split.labelled_order)) < len(split.labelled_order):
        raise UserError(f"{name}: labelled_order names a patient twice: name each patient once.")


def draw_labelled(
    split: Split,
    labelled_train_patients: Sequence[str],
    budget: int | list[str],
    labelled_seed: int | None = None,
) -> tuple[str, ...]:
    """The patients whose labels are used for training.

    Args:
        split: split of the data; its ``labelled_order`` is used if ``labelled_seed`` is None.
        labelled_train_patients: the training patients that have labels.
        budget: their number, or a list of patients.
        labelled_seed: seed of a random order; None uses the split's order, or else seed 0.

    Returns:
        The list, or a prefix of the order, so that a larger budget contains a smaller one.

    Raises:
        UserError: for more patients than available, or a listed one that is not a labelled training
            patient.
    """
    available = set(labelled_train_patients)
    if not isinstance(budget, int):
        for patient in budget:
            if patient not in available:
                raise UserError(
                    f"--labelled names patient '{patient}', which is not a labelled patient of the "
                    "training part: correct the list."
                )
        return tuple(budget)
    order = seeded_order(available, labelled_seed or 0, "labelled")
    if labelled_seed is None and split.labelled_order:
        first = [patient for patient in split.labelled_order if patient in available]
        order = (*first, *(patient for patient in order if patient not in first))
    return order[: at_most(budget, len(order))]


def counted(cases: Sequence[Case], kind: Literal["volumes", "pictures"]) -> str:
    """``7 patients = 14 volumes = 136 slices``, or ``12 pictures``."""
    patients = len({case.patient for case in cases})
    if kind == "pictures":
        pictures = plural(len(cases), "picture")
        return pictures if patients == len(cases) else f"{_patients(patients)} = {pictures}"
    slices = sum(case.slices for case in cases)
    return f"{_patients(patients)} = {plural(len(cases), 'volume')} = {plural(slices, 'slice')}"


def _patients(count: int) -> str:
    return plural(count, "patient")
