"""Splits by patient, budgets and draws."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiseg.data.budget import parse_budget, plain_budget
from semiseg.data.manifest import PARTS, Split
from semiseg.data.splits import (
    check_split,
    draw_labelled,
    make_split,
    read_split,
    seeded_order,
    write_split,
)
from semiseg.errors import UserError

NAMES = [f"p{number:02d}" for number in range(20)]


@given(labelled=st.integers(1, 40), unlabelled=st.integers(0, 40), seed=st.integers(0, 5))
def test_every_patient_is_in_one_part_and_unlabelled_ones_train(
    labelled: int, unlabelled: int, seed: int
) -> None:
    with_label = [f"l{number}" for number in range(labelled)]
    without = [f"u{number}" for number in range(unlabelled)]
    split = make_split(without + with_label, with_label, seed=seed)
    check_split(split, with_label + without)
    assert sorted(p for part in PARTS for p in split.part(part)) == sorted(with_label + without)
    assert set(without) <= set(split.train)
    assert set(with_label) & set(split.train)
    if labelled < 5:
        assert not split.validation
        assert not split.test
        assert "none is held back" in split.origin
    else:
        assert len(split.validation) == max(1, int(labelled * 0.1 + 0.5))
        assert len(split.test) == int(labelled * 0.2 + 0.5)


def test_a_split_depends_on_the_seed_but_not_on_the_order_of_files() -> None:
    one = make_split(NAMES, NAMES, seed=3)
    other = make_split(NAMES[::-1], NAMES[::-1], seed=3)
    assert (one.validation, one.test) == (other.validation, other.test)
    assert set(one.train) == set(other.train)
    assert one.test != make_split(NAMES, NAMES, seed=4).test


def test_the_seeded_order_never_changes() -> None:
    # Fixed values: a release with another order of patients would change the splits of all users.
    assert seeded_order(["a", "b", "c", "d", "e"], 0, "split") == ("b", "c", "a", "d", "e")


def test_splits_are_written_and_read(tmp_path: Path) -> None:
    split = make_split(NAMES, NAMES[:10], seed=1)
    write_split(tmp_path / "split.json", split)
    back = read_split(tmp_path / "split.json", NAMES, NAMES[:10])
    assert [back.part(part) for part in PARTS] == [split.part(part) for part in PARTS]
    assert set(json.loads((tmp_path / "split.json").read_text())) == {*PARTS, "origin"}


def test_unlabelled_patients_that_a_file_leaves_out_train(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["p01"], "validation": ["p02"], "test": []}))
    split = read_split(path, NAMES, NAMES[:4])
    assert split.train == ("p01", *NAMES[4:])


BAD_SPLITS = {
    "p01.*in train and in test": {"train": ["p01", "p02"], "test": ["p01"]},
    "p01.*twice in train": {"train": ["p01", "p01"]},
    "'q' in test is not among the 20 patients": {"train": ["p01"], "test": ["q"]},
    "needs the keys": {"train": ["p01"], "tset": []},
    "must be a list": {"train": "p01"},
    "is not a training": {"train": ["p01"], "test": ["p02"], "labelled_order": ["p02"]},
    "no patient for training": {"train": [], "test": ["p02"]},
}


@pytest.mark.parametrize("word", BAD_SPLITS)
def test_bad_splits_are_refused(tmp_path: Path, word: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps(BAD_SPLITS[word]))
    with pytest.raises(UserError, match=word) as raised:
        read_split(path, NAMES, NAMES)
    assert "split.json" in str(raised.value)


def test_unreadable_splits_are_refused(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        read_split(tmp_path / "split.json", NAMES, NAMES)
    (tmp_path / "split.json").write_text('{"train": ["a"], "train": ["b"]}')
    with pytest.raises(UserError, match=r"split\.json: 'train' occurs twice"):
        read_split(tmp_path / "split.json", NAMES, NAMES)
    with pytest.raises(UserError, match="does not exist"):
        read_split(tmp_path / "none.json", NAMES, NAMES)
    with pytest.raises(UserError, match="sum to 1"):
        make_split(NAMES, NAMES, fractions=(0.7, 0.7, 0.2))


def test_budgets(tmp_path: Path) -> None:
    assert parse_budget("7", 70) == 7
    assert parse_budget("10%", 70) == 7
    assert parse_budget("2.5 %", 150) == 4
    assert parse_budget("1%", 10) == 1
    assert parse_budget("all", 70) == 70
    path = tmp_path / "patients.txt"
    path.write_text("# drawn by hand\np01\np05, p02\n\n")
    assert parse_budget(str(path), 70) == ["p01", "p05", "p02"]


def test_words_are_not_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("7", "all", "10%"):
        Path(name).write_text("p01\n")
    assert [parse_budget(text, 70) for text in ("7", "all", "10%")] == [7, 70, 7]
    assert parse_budget("./7", 70) == ["p01"]
    assert plain_budget("./7") == str(tmp_path / "7")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("7", "7"), ("07", "7"), ("7.0", "7"), ("700", "700"), ("0", "0"), ("-010", "-10"),
        ("10 %", "10%"), ("02.50%", "2.5%"), ("ALL", "all"), ("1" * 400, "1" * 400), ("seven", "seven"),
    ],
)  # fmt: skip
def test_a_budget_has_one_form(text: str, plain: str) -> None:
    assert plain_budget(text) == plain_budget(plain) == plain


@pytest.mark.parametrize(
    "text", ["0", "-1", "1.5", "0%", "101%", "seven", "", "71", "1_0", "\u0667", "+7", "7e0"]
)
def test_bad_budgets_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--labelled"):
        parse_budget(text, 70)


def test_bad_lists_of_patients_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "patients.txt"
    path.write_text("# nobody\n")
    with pytest.raises(UserError, match="names no patient"):
        parse_budget(str(path), 70)
    path.write_text("p01\np01\n")
    with pytest.raises(UserError, match="twice"):
        parse_budget(str(path), 70)


@given(small=st.integers(1, 20), large=st.integers(1, 20), draw=st.integers(0, 3))
def test_smaller_budgets_lie_within_larger_ones(small: int, large: int, draw: int) -> None:
    split = Split(train=tuple(NAMES))
    small, large = sorted((small, large))
    few = draw_labelled(split, NAMES, small, draw)
    assert len(few) == small
    assert draw_labelled(split, NAMES[::-1], large, draw)[:small] == few


def test_the_split_order_is_taken_unless_a_draw_is_asked_for() -> None:
    order = tuple(NAMES[::-1])
    split = Split(train=tuple(NAMES), labelled_order=order)
    assert draw_labelled(split, NAMES, 3) == order[:3]
    assert draw_labelled(split, NAMES[:10], 3) == ("p09", "p08", "p07")
    assert draw_labelled(split, NAMES, 20) == order
    draws = {draw_labelled(split, NAMES, 3, draw) for draw in range(5)}
    assert len(draws) == 5
    bare = Split(train=tuple(NAMES))
    assert draw_labelled(bare, NAMES, 3) == draw_labelled(bare, NAMES, 3, 0)


def test_more_than_exist_and_strangers_are_refused() -> None:
    split = Split(train=tuple(NAMES))
    with pytest.raises(UserError, match="has only 4 with labels"):
        draw_labelled(split, NAMES[:4], 5)
    with pytest.raises(UserError, match="'p09'"):
        draw_labelled(split, NAMES[:4], ["p01", "p09"])
    assert draw_labelled(split, NAMES, ["p05", "p01"], labelled_seed=3) == ("p05", "p01")
