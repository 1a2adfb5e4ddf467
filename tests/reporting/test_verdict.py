"""Plain words about an evaluation, with denominators of the images that count."""

import dataclasses
from pathlib import Path
from typing import Any

from semiseg.evaluation.protocols import STRICT, score_case
from semiseg.evaluation.summary import possible, summarise
from semiseg.evaluation.table import table_lines
from semiseg.reporting.captions import trouble
from semiseg.reporting.results import Scored
from semiseg.reporting.verdict import verdict

import numpy as np  # isort: skip


def scored(kinds: str, classes: tuple[str, ...] = ("background", "lesion")) -> Scored:
    """One case per letter: o(k), m(issing), b(eside it), s(purious) or a(bsent), of class 1."""
    scores: list[Any] = []
    for number, kind in enumerate(kinds):
        reference, guess = np.zeros((2, 1, 12, 12), np.uint8)
        if kind in "omb":
            reference[0, 2:6, 2:6] = 1
        if kind in "os":
            guess[0, 2:6, 2 + number % 2 : 6 + number % 2] = 1
        if kind == "b":
            guess[0, 8:10, 8:10] = 1
        scores += score_case(guess, reference, classes, None, STRICT, case=f"c{number}")
    summary = summarise(scores, STRICT)
    by_case: dict[str, list[float]] = {}
    for row in summary.scores:
        if row.dice is not None:
            by_case.setdefault(row.case, []).append(row.dice)
    dice = {case: sum(values) / len(values) for case, values in by_case.items()}
    row = {
        "variant": "v", "network": "unet", "labelled": "3", "on": "test",
        "summary": summary.to_json() | {"failed": {}},
    }  # fmt: skip
    for item in row["summary"]["classes"].values():  # type: ignore[index]
        item["dice"].setdefault("interval", None)
    own = {row.case: row.dice for row in summary.scores if row.dice is not None and row.code == 1}
    return Scored(Path(), row, True, {None: dice, classes[1]: own})


def test_what_could_be_missed_or_spurious() -> None:
    statuses = {"ok": 5, "missing": 2, "spurious": 3, "absent": 4}
    assert possible(statuses) == {"missing": 7, "spurious": 7}


def test_misses_and_marks_have_their_own_denominators() -> None:
    found = scored("ooooomsaaaa")
    said = " ".join(verdict(found))
    assert "The network misses lesion in 1 of the 6 images that contain it." in said
    assert "It also marks lesion in 1 of the 5 images without it." in said
    assert "the median overlap with the reference (Dice) is" in said
    assert "(7 images; lowest" in said
    assert any("lesion in 1 of 6." in sentence for sentence in trouble([found.row]))
    assert any("lesion in 1 of 5." in sentence for sentence in trouble([found.row]))


def test_a_mark_beside_the_structure_misses_it() -> None:
    said = " ".join(verdict(scored("oooobbmsa")))
    assert "The network misses lesion in 3 of the 7 images that contain it." in said
    assert "It also marks lesion in 1 of the 2 images without it." in said


def test_the_terminal_has_the_same_denominators() -> None:
    scores: list[Any] = []
    for number, (truth, guess) in enumerate(((1, 1), (1, 0), (0, 1), (0, 0))):
        masks = [np.full((1, 4, 4), code, np.uint8) for code in (guess, truth)]
        scores += score_case(*masks, ("background", "lesion"), None, STRICT, case=str(number))
    lines = table_lines(summarise(scores, STRICT))
    assert any(line.endswith("1 of 2 missing, 1 of 2 spurious, 1 absent") for line in lines)


def test_good_masks() -> None:
    said = " ".join(verdict(scored("oooaa")))
    assert "The network finds a part of every structure in every image that contains it." in said
    assert "It marks nothing in images without the structure." in said


def test_few_images_are_listed() -> None:
    said = verdict(scored("o"))[0]
    assert said.startswith(
        "On 1 image not used for training, the overlap with the reference (Dice) is 1.00."
    )


def test_nothing_to_measure() -> None:
    assert verdict(scored("aa")) == [
        "None of 2 images contains a structure, so nothing is measured."
    ]


def test_several_structures() -> None:
    said = " ".join(verdict(scored("oom", ("background", "a", "b"))))
    assert "Mean by structure: a " in said
    assert "the weakest is a" in said


def test_scores_of_images_that_chose_the_checkpoint_are_called_optimistic() -> None:
    found = scored("ooo")
    assert not any("optimistic" in sentence for sentence in verdict(found))
    chosen = dataclasses.replace(found, row=found.row | {"on": "validation"})
    assert any("optimistic" in sentence for sentence in verdict(chosen))
