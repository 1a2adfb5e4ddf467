"""Each rule of the protocols on cases small enough to compute by hand."""

import math

import numpy as np
import pytest

from semiseg.errors import UserError
from semiseg.evaluation.overlap import dice, iou, mae
from semiseg.evaluation.pictures import score_picture
from semiseg.evaluation.protocols import (
    PAPER,
    PROTOCOLS,
    CaseScore,
    Protocol,
    diagonal,
    find_protocol,
    score_case,
)

CLASSES = ("background", "RV", "Myo")
SPACING = (8.0, 1.5, 2.0)


def line(*columns: int, code: int = 1, shape: tuple[int, int, int] = (2, 4, 6)) -> np.ndarray:
    """A label with voxels at slice 0, row 0 and the given columns."""
    label = np.zeros(shape, np.uint8)
    label[0, 0, list(columns)] = code
    return label


def first(p: np.ndarray, r: np.ndarray, **options: object) -> CaseScore:
    return score_case(p, r, CLASSES, SPACING, **options)[0]  # type: ignore[arg-type]


def test_overlap_by_hand() -> None:
    p, r = np.array([1, 1, 1, 0]), np.array([0, 1, 1, 1])
    assert dice(p, r) == pytest.approx(4 / 6)
    assert iou(p, r) == pytest.approx(2 / 4)
    assert dice(p * 0, r * 0) is None
    assert iou(p * 0, r * 0) is None
    assert dice(p * 0, r) == iou(p * 0, r) == 0.0
    assert dice(r * 7, r) == 1.0


def test_mae_by_hand() -> None:
    assert mae(np.array([0.25, 1.0]), np.array([0, 1])) == pytest.approx(12.5)
    assert mae(np.array([1, 0]), np.array([0, 1])) == 100.0
    for wrong in ([1.2, 0.0], [-0.1, 0.0], [math.nan, 0.0]):
        with pytest.raises(UserError, match="between 0 and 1"):
            mae(np.array(wrong), np.array([0, 1]))


def test_strict_measures_millimetres_and_symmetric_asd() -> None:
    score = first(line(0), line(3, 4))
    assert (score.status, score.units) == ("ok", "mm")
    assert score.hd95 == pytest.approx(2 * 3.9)
    assert score.asd == pytest.approx(2 * 3.25)
    assert (score.dice, score.iou) == (0.0, 0.0)
    assert (score.predicted_voxels, score.reference_voxels) == (1, 2)


def test_paper_measures_voxels_and_asd_one_way() -> None:
    score = first(line(0), line(3, 4), protocol=PAPER)
    assert score.units == "voxels"
    assert score.hd95 == pytest.approx(3.9)
    assert score.asd == 3.0
    assert first(line(3, 4), line(0), protocol=PAPER).asd == 3.5


def test_paper_of_plgcl_has_symmetric_asd() -> None:
    score = first(line(0), line(3, 4), protocol=PROTOCOLS["paper-plgcl"])
    assert (score.asd, score.units) == (3.25, "voxels")


DIAGONAL = math.sqrt(16.0**2 + 6.0**2 + 12.0**2)


@pytest.mark.parametrize(
    ("missing", "distance"), [("worst", DIAGONAL), ("exclude", None), ("zero", 0.0)]
)
@pytest.mark.parametrize("status", ["missing", "spurious"])
def test_strict_scores_one_empty_mask_by_the_rule(
    missing: str, distance: float | None, status: str
) -> None:
    full, empty = line(2), line()
    p, r = (empty, full) if status == "missing" else (full, empty)
    score = first(p, r, missing=missing)
    assert (score.status, score.dice, score.iou) == (status, 0.0, 0.0)
    assert score.hd95 == score.asd == (None if distance is None else pytest.approx(distance))


@pytest.mark.parametrize("missing", ["worst", "exclude", "zero"])
def test_paper_scores_an_empty_prediction_as_distance_zero(missing: str) -> None:
    score = first(line(), line(2), protocol=PAPER, missing=missing)
    assert (score.status, score.dice, score.hd95, score.asd) == ("missing", 0.0, 0.0, 0.0)


def test_paper_leaves_distances_of_a_spurious_structure_out() -> None:
    score = first(line(2), line(), protocol=PAPER)
    assert (score.status, score.dice, score.hd95, score.asd) == ("spurious", 0.0, None, None)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_absent_in_both_has_no_value(protocol: Protocol) -> None:
    score = score_case(line(2), line(2), CLASSES, SPACING, protocol)[1]
    assert (score.name, score.code, score.status) == ("Myo", 2, "absent")
    assert (score.dice, score.iou, score.hd95, score.asd) == (None, None, None, None)


def test_without_spacing_strict_says_voxels() -> None:
    score = score_case(line(0), line(3), CLASSES)[0]
    assert (score.hd95, score.units) == (3.0, "voxels")


def test_no_distance_exceeds_the_worst() -> None:
    p, r = np.zeros((2, 2, 4, 6), np.uint8)
    p[0, 0, 0] = r[1, 3, 5] = 1
    score = first(p, r)
    assert score.hd95 is not None
    assert score.hd95 < DIAGONAL
    assert diagonal((1, 3, 4), None) == 5.0  # a picture has no depth


def test_a_single_slice_is_measured_in_the_plane() -> None:
    p, r = np.zeros((2, 1, 12, 12), np.uint8)
    p[0, 1:8, 1:8] = 1
    r[0, 1:8, 1:9] = 1
    flat = score_case(p, r, ("background", "x"))[0]
    # Only contours are surface; if all voxels were, most distances would be 0.
    thick = score_case(np.pad(p, ((0, 1), (0, 0), (0, 0))), np.pad(r, ((0, 1), (0, 0), (0, 0))),
                       ("background", "x"))[0]  # fmt: skip
    assert flat.asd is not None
    assert thick.asd is not None
    assert flat.asd == pytest.approx((5 / 24 + 7 / 26) / 2, abs=1e-9)
    assert thick.asd < flat.asd


def test_definition_of_hd95_is_an_option() -> None:
    generator = np.random.default_rng(2)
    r = np.zeros((3, 12, 12), np.uint8)
    r[:, 3:9, 3:9] = 1
    p = np.where(generator.random(r.shape) < 0.05, 1 - r, r).astype(np.uint8)
    classes = ("background", "x")
    found = {
        name: score_case(p, r, classes, SPACING, find_protocol("strict", name))[0].hd95
        for name in ("pooled", "larger-direction", "surfel-weighted")
    }
    assert len(set(found.values())) == 3


def test_wrong_input_is_refused() -> None:
    with pytest.raises(UserError, match=r"\[2, 4, 6\] but the reference \[2, 4, 5\]"):
        first(line(0), line(0, shape=(2, 4, 5)))
    with pytest.raises(UserError, match=r"The prediction of p7 contains the class codes \[9\]"):
        score_case(line(0, code=9), line(0), CLASSES, case="p7")
    with pytest.raises(UserError, match="needs integers"):
        first(line(0).astype(float), line(0))
    with pytest.raises(UserError, match="spacing needs 3"):
        score_case(line(0), line(0), CLASSES, (1.0, 1.0))
    with pytest.raises(UserError, match="did you mean 'worst'"):
        first(line(0), line(0), missing="worse")
    with pytest.raises(UserError, match="did you mean 'strict'"):
        find_protocol("strickt")
    with pytest.raises(UserError, match="at least one other"):
        score_case(line(0), line(0), ("background",))


# -------------------------------------------------------------------------------------- pictures


def test_picture_scores_a_probability() -> None:
    p, r = np.array([[1, 0], [0, 0]]), np.array([[1, 1], [0, 0]])
    probability = np.array([[0.9, 0.4], [0.1, 0.0]])
    classes = ("background", "polyp")
    (score,) = score_picture(p, r, classes, probability=probability)
    assert score.mae == pytest.approx(100 * (0.1 + 0.6 + 0.1) / 4)
    assert (score.dice, score.iou) == (pytest.approx(2 / 3), pytest.approx(1 / 2))
    (hard,) = score_picture(p, r, classes)
    assert hard.mae == 25.0
    with pytest.raises(UserError, match="probability of a picture has shape"):
        score_picture(p, r, classes, probability=probability[:1])


def test_picture_mae_per_class_and_of_empty_masks() -> None:
    r = np.array([[1, 2], [0, 0]])
    probability = np.full((3, 2, 2), 1 / 3)
    scores = score_picture(r * 0, r * 0, CLASSES, probability=probability)
    assert [score.status for score in scores] == ["absent", "absent"]
    assert [score.mae for score in scores] == [pytest.approx(100 / 3)] * 2
    assert score_picture(r, r, CLASSES)[1].mae == 0.0


def test_cross_level_takes_masks_from_the_probabilities_at_320() -> None:
    r = np.zeros((10, 20), np.uint8)
    r[:, :10] = 1
    values = np.full((2, 16, 16), 0.4)
    values[1] = 0.6  # slightly in favour of the class everywhere
    (score,) = score_picture(
        r * 0, r, ("background", "x"), protocol=PROTOCOLS["paper-cross-level"], probability=values
    )
    assert score.predicted_voxels == 320 * 320
    assert score.dice == pytest.approx(2 / 3)
    assert score.mae == pytest.approx(50.0)  # 0.4 on one half, 0.6 on the other


def test_cross_level_pictures_are_scored_at_320() -> None:
    r = np.zeros((10, 20), np.uint8)
    r[:, :10] = 1
    (score,) = score_picture(
        r, r, ("background", "x"), protocol=PROTOCOLS["paper-cross-level"],
        probability=np.full((16, 16), 0.5),
    )  # fmt: skip
    assert score.reference_voxels == 320 * 160
    assert score.mae == pytest.approx(50.0)
    assert score.dice == 1.0
