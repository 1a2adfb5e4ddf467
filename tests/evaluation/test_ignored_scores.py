"""Ignored voxels do not affect any metric, whatever the prediction."""

import numpy as np
import pytest

from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError
from semiseg.evaluation.pictures import score_picture
from semiseg.evaluation.protocols import PROTOCOLS, score_case
from semiseg.evaluation.resize_upper_bound import resize_upper_bound

CLASSES = ("background", "RV", "Myo")


def pair(seed: int, shape: tuple[int, int, int] = (3, 16, 14)) -> tuple[np.ndarray, np.ndarray]:
    """A prediction, and a reference of which the lower half of each slice is ignored."""
    rng = np.random.default_rng(seed)
    prediction, reference = np.kron(
        rng.integers(0, 3, (2, shape[0], 4, 7)), np.ones((1, 1, 4, 2), int)
    ).astype(np.uint8)
    reference[:, 8:] = IGNORE_INDEX
    return prediction, reference


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_scores_are_those_of_both_masks_without_it(protocol: str) -> None:
    prediction, reference = pair(0)
    other = prediction.copy()
    other[:, 8:] = np.random.default_rng(1).integers(0, 3, other[:, 8:].shape)
    cut_p, cut_r = prediction.copy(), reference.copy()
    cut_p[:, 8:] = cut_r[:, 8:] = 0
    spacing = (8.0, 1.5, 2.0)
    expected = score_case(cut_p, cut_r, CLASSES, spacing, PROTOCOLS[protocol])
    assert any(score.dice for score in expected)
    assert all(score.hd95 is not None for score in expected)
    for found in (prediction, other):
        assert score_case(found, reference, CLASSES, spacing, PROTOCOLS[protocol]) == expected


def test_everything_ignored_is_absent() -> None:
    prediction, reference = pair(0)
    reference[:] = IGNORE_INDEX
    assert {s.status for s in score_case(prediction, reference, CLASSES)} == {"absent"}
    scores = score_picture(prediction[:1], reference[:1], CLASSES)
    assert {s.mae for s in scores} == {None}


@pytest.mark.parametrize("protocol", ["strict", "paper-cross-level"])
def test_the_mean_absolute_error_excludes_ignored_pixels(protocol: str) -> None:
    prediction, reference = (mask[:1] % 2 for mask in pair(2))
    reference[:, 8:] = IGNORE_INDEX
    probability = np.full((16, 14), 0.25)
    probability[8:] = 1.0  # wrong where pixels are ignored
    if protocol == "strict":
        (score,) = score_picture(
            prediction, reference, ("background", "x"), probability=probability
        )
        truth = reference[0, :8].astype(float)
        assert score.mae == pytest.approx(100 * np.abs(0.25 - truth).mean())
        (hard,) = score_picture(prediction, reference, ("background", "x"))
        assert hard.mae == pytest.approx(100 * (prediction[0, :8] != truth).mean())
    else:
        rows = [
            score_picture(p, reference, ("background", "x"), protocol=PROTOCOLS[protocol])
            for p in (prediction, np.where(reference == IGNORE_INDEX, 1, prediction))
        ]
        assert rows[0] == rows[1]
        assert rows[0][0].dice is not None


def test_a_class_may_be_called_255() -> None:
    """255 in black and white files that were not decoded."""
    mask = np.zeros((1, 6, 6), np.uint8)
    mask[:, 2:4] = 255
    (score,) = score_case(mask, mask, {255: "organ"})
    assert score.dice == 1.0


def test_a_prediction_knows_no_such_value() -> None:
    prediction, reference = pair(0)
    with pytest.raises(UserError, match=r"prediction.* contains the class codes \[255\]"):
        score_case(reference, prediction, CLASSES)


def test_the_upper_bound_does_not_count_it() -> None:
    _, reference = pair(3)
    clean = np.where(reference == IGNORE_INDEX, 0, reference)
    # sizes that preserve the border of the scored part
    assert resize_upper_bound([reference], 8, CLASSES) == resize_upper_bound([clean], 8, CLASSES)
    assert all(v is not None for v in resize_upper_bound([reference], 8, CLASSES).values())
