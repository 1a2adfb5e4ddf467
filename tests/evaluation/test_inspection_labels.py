"""Findings of an inspection on labels, each with and without its fault."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inspected import CLASSES, facts_of, volume
from semiseg.evaluation.inspection.labels import labels
from semiseg.evaluation.inspection.measure import CaseFacts
from semiseg.evaluation.inspection.outlines import outlines


@pytest.fixture(scope="module")
def sound() -> list[CaseFacts]:
    """Ten cases without faults."""
    return [facts_of(f"case{n}", *volume(n)) for n in range(10)]


def relabelled(spoil: Callable[[NDArray[np.uint8]], object]) -> CaseFacts:
    image, label = volume(20)
    spoil(label)
    return facts_of("odd", image, label)


def _empty(label: NDArray[np.uint8]) -> None:
    label[:] = 0


def _one_class_less(label: NDArray[np.uint8]) -> None:
    label[label == 2] = 0


def _small(label: NDArray[np.uint8]) -> None:
    label[(label == 1) & (np.arange(32)[:, None] > 13)] = 0


def _specks(label: NDArray[np.uint8]) -> None:
    label[:, 5:27:2, 26] = 1


def _everything(label: NDArray[np.uint8]) -> None:
    label[:] = np.where(label == 0, 1, label)


def _frame(label: NDArray[np.uint8]) -> None:
    label[:, [0, -1]] = 1
    label[:, :, [0, -1]] = 1


def _outside(label: NDArray[np.uint8]) -> None:
    label[:] = np.roll(label, -11, axis=1)


def _mirrored(label: NDArray[np.uint8]) -> None:
    label[:] = np.where(label > 0, 3 - label, 0)


LABEL_FAULTS = {
    _empty: ("empty-labels", "1 label is empty: odd"),
    _one_class_less: ("class-missing", "right lung is missing in 1 label though 10 of 11"),
    _small: ("unusual-volume", "left lung is unusually large or small in 1 label: odd ("),
    _specks: ("many-pieces", "left lung has many components in 1 label: odd (12)"),
    _everything: ("label-covers-everything", "1 label marks nearly the whole image: odd"),
    _frame: ("label-touches-all-borders", "all four borders of the image: odd"),
    _outside: (
        "label-outside-the-image",
        "1 label covers much of the empty border of the image: odd (",
    ),
    _mirrored: ("left-and-right-swapped", "are swapped in 1 label compared with the other 10: odd"),
}


@pytest.mark.parametrize("spoil", LABEL_FAULTS, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_suspicious_label_is_found(sound: list[CaseFacts], spoil: Any) -> None:
    kind, words = LABEL_FAULTS[spoil]
    findings = {finding.kind: finding for finding in labels([*sound, relabelled(spoil)], CLASSES)}
    assert findings[kind].cases == ("odd",)
    assert words in findings[kind].sentence
    assert findings[kind].sentence.endswith(".")
    assert findings[kind].level == "minor"
    beside = {
        _everything: {"unusual-volume", "label-outside-the-image"},
        _frame: {"unusual-volume", "label-outside-the-image"},
        _outside: {"label-touches-all-borders"},
    }
    assert set(findings) - {kind} <= beside.get(spoil, set())


@pytest.mark.parametrize(
    "spoil", [_one_class_less, _small, _specks, _everything, _frame, _outside, _mirrored]
)
def test_what_most_labels_do_is_usual(spoil: Any) -> None:
    cases = []
    for number in range(10):
        image, label = volume(number)
        spoil(label)
        cases.append(facts_of(f"case{number}", image, label))
    alike = {"labels-all-alike"} if spoil is _everything else set()
    assert {f.kind for f in labels(cases, CLASSES)} <= {"class-in-no-label"} | alike


def test_labels_that_mark_the_same_region_everywhere() -> None:
    field = np.zeros((1, 32, 32), np.uint8)
    field[:, 3:29, 3:29] = 1
    cases = [facts_of(f"case{n}", volume(n)[0][:1], field) for n in range(4)]
    (finding,) = (f for f in labels(cases, CLASSES[:2]) if f.kind == "labels-all-alike")
    assert finding.level == "serious"
    assert "All 4 labels mark the same region" in finding.sentence
    moved = facts_of("odd", volume(9)[0][:1], np.roll(field, 5, 2))
    assert not any(f.kind == "labels-all-alike" for f in labels([*cases, moved], CLASSES[:2]))


def test_a_class_that_nobody_drew(sound: list[CaseFacts]) -> None:
    findings = labels(sound, (*CLASSES[:2], "right lung")) + labels(
        [
            dataclasses.replace(s, structures=(*s.structures, type(s.structures[0])(0)))
            for s in sound
        ],
        (*CLASSES, "heart"),
    )
    assert [f.sentence for f in findings] == [
        "Class 'heart' does not occur in any label: label it, or leave out the class."
    ]


def test_without_affines_nobody_knows_left_from_right() -> None:
    cases = []
    for number in range(10):
        image, label = volume(number)
        if number == 3:
            _mirrored(label)
        cases.append(facts_of(f"case{number}", image, label, affine=None))
    assert labels(cases, CLASSES) == []


def inverted(number: int) -> CaseFacts:
    image, label = volume(number)
    return facts_of(f"case{number}", image, (label == 0).astype(np.uint8))


def test_inverted_masks_are_serious(sound: list[CaseFacts]) -> None:
    cases = [inverted(number) for number in range(6)]
    (finding,) = (f for f in labels(cases, CLASSES[:2]) if f.kind == "labels-inverted")
    assert finding.level == "serious"
    assert "In 6 of 6 labels the structures cover most of the image" in finding.sentence
    two = labels(cases[:2], CLASSES[:2])
    assert any(found.kind == "labels-inverted" for found in two)
    mixed = labels([*cases[:3], *sound], CLASSES)
    assert not any(found.kind == "labels-inverted" for found in mixed)


@pytest.mark.parametrize("rows", [slice(0, 12), slice(12, 14)])
def test_tissue_that_reaches_the_border_is_not_inverted(rows: slice) -> None:
    cases = []
    for number in range(6):  # the background touches a border, or is next to one structure alone
        image, _ = volume(number)
        label = np.ones((3, 32, 32), np.uint8)
        label[:, rows, number:] = 0
        cases.append(facts_of(f"case{number}", image, label))
    assert not any(found.kind == "labels-inverted" for found in labels(cases, CLASSES[:2]))


def test_one_inverted_mask_among_others_is_serious(sound: list[CaseFacts]) -> None:
    image, label = volume(20)
    odd = facts_of("odd", image, np.where(label == 0, 1, 0).astype(np.uint8))
    (finding,) = (f for f in labels([*sound, odd], CLASSES) if f.kind == "labels-inverted")
    assert (finding.level, finding.cases) == ("serious", ("odd",))
    assert "look swapped compared with the other 10: odd" in finding.sentence


def ringed(number: int, *codes: int) -> CaseFacts:
    """A case whose structures of these codes are drawn as outlines of one pixel."""
    image, label = volume(number)
    label[:] = 0
    for code, left in ((1, 3), (2, 17)):
        label[:, 5:27, left : left + 11] = code
        if code in codes:
            label[:, 6:26, left + 1 : left + 10] = 0
    return facts_of(f"ring{number}", image, label)


def test_outlines_instead_of_masks_are_serious(sound: list[CaseFacts]) -> None:
    rings = [ringed(number, 1) for number in range(20, 24)]
    (finding,) = outlines([*sound[:2], *rings], CLASSES)
    assert (finding.kind, finding.level) == ("outlines", "serious")
    assert finding.cases == ("ring20", "ring21", "ring22", "ring23")
    assert "In 4 of 6 labels of left lung a thin closed line" in finding.sentence
    assert "binary_fill_holes" in finding.sentence
    assert finding in labels([*sound[:2], *rings], CLASSES)
    both = [ringed(number, 1, 2) for number in range(20, 23)]
    (finding,) = outlines(both, CLASSES)
    assert "3 of 3 labels of left lung and 3 of 3 labels of right lung" in finding.sentence
    (finding,) = outlines([*sound, *both], CLASSES)
    assert (finding.kind, finding.level) == ("outlines-in-some-labels", "minor")
    assert "In 3 labels left lung and right lung is a thin closed line" in finding.sentence
    assert outlines(sound, CLASSES) == []


def test_outlines_that_broke_in_the_reduction_are_serious() -> None:
    image, label = volume(1)
    cases = [facts_of(f"c{n}", image, label, outlined=n < 3) for n in range(4)]
    (finding,) = outlines(cases, CLASSES)
    assert (finding.level, finding.cases) == ("serious", ("c0", "c1", "c2"))
