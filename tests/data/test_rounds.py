"""Splits and folds of data to which labels are added."""

from semiseg.data.manifest import Split
from semiseg.data.rounds import extend_folds, extend_split
from semiseg.data.splits import make_split


def names(count: int, prefix: str = "p") -> list[str]:
    return [f"{prefix}{n:02d}" for n in range(count)]


def test_patients_keep_their_parts() -> None:
    patients, first = names(60), names(20)
    before = make_split(patients, first)
    after = extend_split(before, patients, names(40), first)
    assert set(after.test) > set(before.test)
    assert set(after.validation) > set(before.validation)
    assert (len(after.validation), len(after.test)) == (4, 8)
    # nobody who was trained on is tested
    trained = set(before.train) & set(first)
    assert trained <= set(after.train)
    assert sorted([*after.train, *after.validation, *after.test]) == patients
    assert (
        "of 20 newly labelled patients, 2 joined the validation part and 4 the test" in after.origin
    )


def test_without_new_labels_it_is_the_same_split() -> None:
    patients, labelled = names(30), names(20)
    before = make_split(patients, labelled)
    assert extend_split(before, patients, labelled, labelled) is before
    more = extend_split(before, [*patients, "new"], labelled, labelled)
    assert "new" in more.train
    assert more.test == before.test


def test_the_first_test_part_has_three_patients() -> None:
    # after a cross-validation everybody who was labelled has been trained on
    before = Split(train=tuple(names(20)))
    after = extend_split(before, names(20), names(12), names(8))
    assert set(after.test) <= set(names(12)) - set(names(8))
    assert (len(after.test), len(after.validation)) == (3, 1)
    first = extend_split(before, names(20), names(10), (), seed=7)
    assert (len(first.test), len(first.validation)) == (3, 1)
    assert first.origin == "drawn by seed 7, with 3 patients for the test"


def test_a_label_that_was_removed_leaves_its_part() -> None:
    before = make_split(names(20), names(20))
    gone = before.test[0]
    labelled = [p for p in names(20) if p != gone]
    after = extend_split(before, names(20), labelled, names(20))
    assert gone in after.train
    assert gone not in after.test


def test_folds_grow() -> None:
    first = extend_folds((), names(4), 4)
    assert sorted(len(fold) for fold in first) == [1, 1, 1, 1]
    second = extend_folds(first, names(9), 5)
    assert len(second) == 5
    assert sorted(p for fold in second for p in fold) == names(9)
    for fold in first:
        assert any(set(fold) <= set(other) for other in second)
    assert max(map(len, second)) - min(map(len, second)) <= 1
    assert extend_folds(second, names(9), 5) == second
    assert len(extend_folds(second, ["p00"], 5)) == 1


def test_groups_stay_in_one_part() -> None:
    patients, labelled = names(30), names(20)
    groups = [("p00", "p01", "p25"), ("p05", "p06")]
    for seed in range(12):
        split = extend_split(
            Split(train=tuple(patients)), patients, labelled, (), seed=seed, groups=groups
        )
        parts = [set(split.train), set(split.validation), set(split.test)]
        assert sum(map(len, parts)) == 30
        for group in groups:
            assert any(set(group) <= part for part in parts)
        assert len(parts[2] & set(labelled)) == 4
        again = extend_split(split, patients, labelled, labelled, seed=seed, groups=groups)
        assert again is split


def test_a_new_twin_follows_the_patient_that_was_labelled_before() -> None:
    patients, first = names(40), names(20)
    before = make_split(patients, first)
    tested, trained = before.test[0], next(p for p in before.train if p in first)
    groups = [(tested, "p30"), (trained, "p31"), (before.test[1], trained, "p32")]
    after = extend_split(before, patients, names(40), first, groups=groups[:2])
    assert "p30" in after.test
    assert "p31" in after.train
    # a group that was divided before: its new members train, and nobody moves
    after = extend_split(before, patients, names(40), first, groups=groups[2:])
    assert "p32" in after.train
    assert before.test[1] in after.test


def test_groups_stay_in_one_fold() -> None:
    groups = [("p00", "p03", "p20"), ("p04", "p05")]
    for seed in range(8):
        folds = extend_folds((), names(6), 5, seed, groups)
        assert sorted(p for fold in folds for p in fold) == names(6)
        assert any({"p00", "p03"} <= set(fold) for fold in folds)
        assert any({"p04", "p05"} <= set(fold) for fold in folds)
        grown = extend_folds(folds, [*names(6), "p20"], 5, seed, groups)
        assert any({"p00", "p03", "p20"} <= set(fold) for fold in grown)


def test_two_halves_that_belong_together_leave_one_to_train() -> None:
    groups = [tuple(names(6, "a")), tuple(names(6, "b"))]
    everyone = [*groups[0], *groups[1]]
    for split in (
        make_split(everyone, everyone, groups=groups),
        extend_split(Split(train=tuple(everyone)), everyone, everyone, (), groups=groups),
    ):
        assert split.train
