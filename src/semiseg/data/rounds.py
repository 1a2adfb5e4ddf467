"""Splits of data to which labels are added: patients keep their parts.

A network that starts from the weights of an earlier one must not be scored on patients whose labels the
earlier one was trained on.
"""

from collections.abc import Collection, Sequence

from semiseg.data.manifest import Split
from semiseg.data.splits import seeded_order
from semiseg.text import plural

FRACTIONS = (0.7, 0.1, 0.2)


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
) -> Split:
    """Add newly labelled patients to a drawn split.

    Patients labelled before keep their part. Newly labelled ones fill the test part to its fraction, then
    the validation part, in the order drawn by ``seed``; the others and unlabelled patients train.

    Args:
        before: the earlier split.
        patients: all patients now.
        labelled: the labelled ones among them.
        labelled_before: the patients that were labelled in ``before``.
        fractions: training, validation and test.
        seed: seed of the order.
    """
    now, known = set(patients), set(labelled_before)
    test = [p for p in before.test if p in now and p in set(labelled)]
    validation = [p for p in before.validation if p in now and p in set(labelled)]
    new = [p for p in seeded_order(labelled, seed, "split") if p not in known]
    for_validation, for_test = held_out_counts(len(labelled), fractions)
    added_test = new[: max(for_test - len(test), 0)]
    rest = new[len(added_test) :]
    added_validation = rest[: max(for_validation - len(validation), 0)]
    held = {*test, *validation, *added_test, *added_validation}
    train = tuple(p for p in dict.fromkeys(patients) if p not in held)
    parts = (train, (*validation, *added_validation), (*test, *added_test))
    same = (set(before.train), before.validation, before.test)
    if (set(train), *parts[1:]) == same:
        return before
    origin = (
        f"patients keep their parts; of {plural(len(new), 'newly labelled patient')}, "
        f"{len(added_validation)} joined the validation part and {len(added_test)} the test part"
        if known
        else f"drawn by seed {seed}, with {plural(len(added_test), 'patient')} for the test"
    )
    return Split(train=train, validation=parts[1], test=parts[2], origin=origin)


def extend_folds(
    before: Sequence[Sequence[str]], patients: Sequence[str], count: int, seed: int = 0
) -> tuple[tuple[str, ...], ...]:
    """Divide patients into ``count`` folds; patients of earlier folds stay together.

    New patients join the smallest folds, in the order drawn by ``seed``.

    Args:
        before: the earlier folds; none at first.
        patients: the labelled patients.
        count: number of folds; at least the number of earlier ones that still have patients is used.
        seed: seed of the order.
    """
    wanted = set(patients)
    kept = [[p for p in fold if p in wanted] for fold in before]
    folds = [fold for fold in kept if fold]
    folds += [[] for _ in range(count - len(folds))]
    placed = {p for fold in folds for p in fold}
    for patient in seeded_order(patients, seed, "folds"):
        if patient not in placed:
            min(folds, key=len).append(patient)
    return tuple(tuple(fold) for fold in folds if fold)
