"""Splits of data to which labels are added: patients keep their parts.

A network that starts from the weights of an earlier one must not be scored on patients whose labels the
earlier one was trained on.
"""

from collections.abc import Collection, Sequence

from semiseg.data.manifest import PARTS, Split
from semiseg.data.splits import seeded_order, take_units
from semiseg.text import plural

FRACTIONS = (0.7, 0.1, 0.2)
Groups = Sequence[Sequence[str]]


FEWEST_TO_TEST = 3
"""Test patients of a drawn split, since fewer give no interval of the score."""


def held_out_counts(labelled: int, fractions: tuple[float, float, float]) -> tuple[int, int]:
    """Numbers of validation and test patients among ``labelled``: as in `make_split`, but three to test."""
    validation, test = (
        max(int(labelled * part + 0.5), 1) if part > 0 else 0 for part in fractions[1:]
    )
    return validation, max(test, FEWEST_TO_TEST) if test else 0


def extend_split(
    before: Split,
    patients: Sequence[str],
    labelled: Sequence[str],
    labelled_before: Collection[str],
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    groups: Groups = (),
) -> Split:
    """Add newly labelled patients to a drawn split.

    Patients labelled before keep their part. Newly labelled ones fill the test part to its fraction, then
    the validation part, in the order drawn by ``seed``; the others and unlabelled patients train. A group
    follows its members that were labelled before, and is not divided otherwise.

    Args:
        before: the earlier split.
        patients: all patients now.
        labelled: the labelled ones among them.
        labelled_before: the patients that were labelled in ``before``.
        fractions: training, validation and test.
        seed: seed of the order.
        groups: patients that stay in one part, unlabelled ones too.
    """
    now, known, own = set(patients), set(labelled_before), set(labelled)
    members = {p: tuple(q for q in group if q in now) for group in groups for p in group}
    test = [p for p in before.test if p in now and p in own]
    validation = [p for p in before.validation if p in now and p in own]
    settled = dict.fromkeys(known, "train") | dict.fromkeys(validation, "validation")
    settled |= dict.fromkeys(test, "test")
    new = [p for p in seeded_order(labelled, seed, "split") if p not in known]
    parts_of: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for unit in dict.fromkeys(members.get(p, (p,)) for p in (*test, *validation, *new)):
        fixed = [settled[p] for p in unit if p in settled]
        if fixed:  # in two parts before: the others train
            follows = fixed[0] if len(set(fixed)) == 1 else "train"
            parts_of[follows] += [p for p in unit if p not in settled]
    placed = set().union(*parts_of.values())
    units = list(dict.fromkeys(members.get(p, (p,)) for p in new if p not in placed))
    test += parts_of["test"]
    validation += parts_of["validation"]
    for_validation, for_test = held_out_counts(len(labelled), fractions)
    wanted = max(for_test - len(own.intersection(test)), 0)
    added_test, units = take_units(units, wanted, own)
    wanted = max(for_validation - len(own.intersection(validation)), 0)
    added_validation, _ = take_units(units, wanted, own)
    held = {*test, *validation, *added_test, *added_validation}
    train = tuple(p for p in dict.fromkeys(patients) if p not in held)
    parts = (train, (*validation, *added_validation), (*test, *added_test))
    if [set(part) for part in parts] == [set(before.part(name)) for name in PARTS]:
        return before
    origin = (
        f"patients keep their parts; of {plural(len(new), 'newly labelled patient')}, "
        f"{len(added_validation)} joined the validation part and {len(added_test)} the test part"
        if known
        else f"drawn by seed {seed}, with {plural(len(added_test), 'patient')} for the test"
    )
    return Split(train=train, validation=parts[1], test=parts[2], origin=origin)


def extend_folds(
    before: Sequence[Sequence[str]],
    patients: Sequence[str],
    count: int,
    seed: int = 0,
    groups: Groups = (),
) -> tuple[tuple[str, ...], ...]:
    """Divide patients into ``count`` folds; patients of earlier folds stay together.

    New patients join the smallest folds, in the order drawn by ``seed``.

    Args:
        before: the earlier folds; none at first.
        patients: the labelled patients.
        count: number of folds; at least the number of earlier ones that still have patients is used.
        seed: seed of the order.
        groups: patients that stay in one fold, if they were not in several before. There may then be
            fewer folds than ``count``.
    """
    wanted = set(patients)
    members = {p: [q for q in group if q in wanted] for group in groups for p in group}
    kept = [[p for p in fold if p in wanted] for fold in before]
    folds = [fold for fold in kept if fold]
    folds += [[] for _ in range(count - len(folds))]
    placed = {p for fold in folds for p in fold}
    for patient in seeded_order(patients, seed, "folds"):
        if patient in placed:
            continue
        unit = [p for p in members.get(patient, [patient]) if p not in placed]
        beside = [fold for fold in folds if set(fold).intersection(members.get(patient, ()))]
        (beside[0] if beside else min(folds, key=len)).extend(unit)
        placed.update(unit)
    return tuple(tuple(fold) for fold in folds if fold)
