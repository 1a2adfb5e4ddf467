"""Dice of validation cases: volumes, mean over cases that have the class."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import RunFailure
from semiseg.training.validation import validation_dice


class Answers:
    """A predictor that returns the true labels, with one class missing in one case."""

    def __init__(self, data: PreparedData, missed: tuple[str, int] | None) -> None:
        self.masks = []
        for patient in ("p7", "p8"):
            mask = np.array(data.label(patient))
            if missed and missed[0] == patient:
                mask[mask == missed[1]] = 0
            self.masks.append(mask)

    def predict(self, image: Any, bounds: Any, spacing: Any) -> Any:
        return self.masks.pop(0)


def test_scores_are_means_over_cases_and_classes(small_data: PreparedData) -> None:
    cases = small_data.of_patients(("p7", "p8"))
    perfect = validation_dice(Answers(small_data, None), small_data, cases)  # type: ignore[arg-type]
    assert perfect == {"dice": 1.0, "disc": 1.0, "square": 1.0}
    missed = validation_dice(Answers(small_data, ("p8", 2)), small_data, cases)  # type: ignore[arg-type]
    assert missed == pytest.approx({"dice": 0.75, "disc": 1.0, "square": 0.5})


def test_a_case_without_a_class_does_not_count_for_it(
    write_data: Callable[[Path], PreparedData], tmp_path: Path
) -> None:
    data = write_data(tmp_path / "data")
    truth = np.array(data.label("p8"))
    np.save(data.folder / "labels" / "p8.npy", np.where(truth == 1, 0, truth).astype(np.uint8))
    cases = data.of_patients(("p7", "p8"))
    perfect = validation_dice(Answers(data, None), data, cases)  # type: ignore[arg-type]
    assert perfect == {"dice": 1.0, "disc": 1.0, "square": 1.0}
    missed = validation_dice(Answers(data, ("p7", 1)), data, cases)  # type: ignore[arg-type]
    assert missed == {"dice": 0.5, "disc": 0.0, "square": 1.0}


def test_a_volume_is_scored_as_a_whole(small_data: PreparedData) -> None:
    answers = Answers(small_data, None)
    truth = answers.masks[0] == 1
    answers.masks[0][0][answers.masks[0][0] == 1] = 0  # missing in the first slice only
    scores = validation_dice(answers, small_data, small_data.of_patients(("p7",)))  # type: ignore[arg-type]
    found, size = truth[1].sum(), truth.sum()
    assert scores["disc"] == pytest.approx(2 * found / (found + size))


def test_what_is_ignored_does_not_count(
    write_data: Callable[[Path], PreparedData], tmp_path: Path
) -> None:
    data = write_data(tmp_path / "data")
    truth = np.array(data.label("p7"))
    answers = Answers(data, None)
    answers.masks[0][1] = 2  # wrong in the ignored slice
    truth[1] = IGNORE_INDEX
    np.save(data.folder / "labels" / "p7.npy", truth)
    scores = validation_dice(answers, data, data.of_patients(("p7",)))  # type: ignore[arg-type]
    assert scores == {"dice": 1.0, "disc": 1.0, "square": 1.0}


def test_a_lack_of_memory_names_the_case(small_data: PreparedData) -> None:
    answers = Answers(small_data, None)
    whole = answers.predict

    def predict(*given: Any) -> Any:
        if len(answers.masks) == 1:
            raise MemoryError
        return whole(*given)

    answers.predict = predict  # type: ignore[method-assign]
    cases = small_data.of_patients(("p7", "p8"))
    with pytest.raises(
        RunFailure, match=r"^p8: not enough memory .* to score it in the validation"
    ):
        validation_dice(answers, small_data, cases)  # type: ignore[arg-type]
