"""Means, their counts, and the content of the files."""

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from semiseg.errors import UserError
from semiseg.evaluation.protocols import PAPER, STRICT, CaseScore, Status, find_protocol
from semiseg.evaluation.resize_upper_bound import resize_nearest, resize_upper_bound
from semiseg.evaluation.summary import Summary, summarise, write_csv, write_json
from semiseg.evaluation.table import table_lines


def score(
    case: str, code: int, status: Status, dice: float | None, hd95: float | None
) -> CaseScore:
    name = {1: "RV", 2: "LV"}[code]
    return CaseScore(case, code, name, status, 3, 4, "mm", dice, dice, hd95, hd95)


def example() -> Summary:
    rows = [
        score("a", 1, "ok", 0.8, 2.0),
        score("a", 2, "ok", 0.9, 4.0),
        score("b", 1, "missing", 0.0, None),
        score("b", 2, "absent", None, None),
        score("c", 1, "ok", 0.4, 6.0),
        score("c", 2, "absent", None, None),
    ]
    return summarise(rows, STRICT, "exclude", failed={"d": "d.nii is damaged."},
                     unpaired_references=("e.nii",))  # fmt: skip


def test_means_and_the_counts_behind_them() -> None:
    rv, lv = example().classes
    assert rv.statuses == {"ok": 2, "missing": 1, "spurious": 0, "absent": 0}
    assert lv.statuses == {"ok": 1, "missing": 0, "spurious": 0, "absent": 2}
    dice, hd95 = rv.metrics["dice"], rv.metrics["hd95"]
    assert (dice.mean, dice.count, dice.left_out) == (pytest.approx(0.4), 3, 0)
    assert dice.deviation == pytest.approx(0.4)  # n - 1
    assert (hd95.mean, hd95.count, hd95.left_out) == (4.0, 2, 1)
    assert lv.metrics["dice"].deviation is None


def test_mean_over_classes_is_the_mean_of_class_means() -> None:
    overall = example().overall["dice"]
    assert overall.mean == pytest.approx((0.4 + 0.9) / 2)  # not (0.8 + 0.9 + 0 + 0.4) / 4
    assert (overall.classes, overall.count) == (2, 4)
    assert overall.deviation == pytest.approx(np.std([0.85, 0.0, 0.4], ddof=1))


def test_a_class_without_any_value_is_left_out_of_the_mean_over_classes() -> None:
    rows = [score("a", 1, "ok", 0.5, 1.0), score("a", 2, "absent", None, None)]
    overall = summarise(rows, STRICT).overall["dice"]
    assert (overall.mean, overall.classes) == (0.5, 1)


def test_cases_scored_with_fewer_classes_are_absent_in_the_rest() -> None:
    summary = summarise([score("a", 1, "ok", 0.5, 1.0), score("b", 2, "ok", 0.7, 1.0)], STRICT)
    assert [(row.case, row.code, row.status) for row in summary.scores] == [
        ("a", 1, "ok"), ("a", 2, "absent"), ("b", 1, "absent"), ("b", 2, "ok"),
    ]  # fmt: skip
    assert summary.cases == 2


def test_json_names_every_definition(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", example())
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["protocol"] == "strict"
    assert content["units"] == "mm"
    assert content["hd95_definition"] == "pooled"
    assert content["asd_definition"] == "symmetric"
    assert content["missing_rule"] == "exclude"
    assert content["cases"] == 3
    assert content["failed"] == {"d": "d.nii is damaged."}
    assert content["references_without_prediction"] == ["e.nii"]
    assert content["classes"]["RV"]["cases"]["missing"] == 1
    assert content["classes"]["RV"]["hd95_mm"] == {
        "mean": 4.0, "deviation": pytest.approx(math.sqrt(8)), "count": 2, "left_out": 1,
        "interval": None,
    }  # fmt: skip
    assert content["mean_over_classes"]["dice"]["mean"] == pytest.approx(0.65)


def test_paper_names_its_own_rule_for_missing_structures() -> None:
    rows = [CaseScore("a", 1, "RV", "ok", 1, 1, "voxels", 1.0, 1.0, 0.0, 0.0)]
    content = summarise(rows, PAPER, "worst").to_json()
    assert content["missing_rule"] == "zero"
    assert content["asd_definition"] == "prediction-to-reference"
    assert "hd95_voxels" in content["mean_over_classes"]
    cross_level = summarise(rows, find_protocol("paper-cross-level")).to_json()
    assert cross_level["scored_at"] == "320 x 320"


def test_csv_has_a_row_per_case_and_class_and_units_in_its_header(tmp_path: Path) -> None:
    write_csv(tmp_path / "deep" / "cases.csv", example())
    with (tmp_path / "deep" / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "case", "class", "code", "status", "dice", "iou", "hd95_mm", "asd_mm",
        "predicted_voxels", "reference_voxels", "protocol", "units", "hd95_definition",
        "asd_definition", "missing_rule", "scored_at",
    ]  # fmt: skip
    assert len(rows) == 6
    assert (rows[0]["case"], rows[0]["class"], rows[0]["hd95_mm"]) == ("a", "RV", "2.000000")
    assert (rows[3]["status"], rows[3]["dice"]) == ("absent", "")
    assert {row["hd95_definition"] for row in rows} == {"pooled"}


def test_lines_for_the_terminal_carry_definitions_and_counts() -> None:
    lines = table_lines(example())
    assert "protocol strict: distances in mm, HD95 pooled, ASD symmetric" in lines[0]
    assert "missing structures: exclude" in lines[0]
    assert "HD95 mm" in lines[1]
    assert "0.400 ± 0.400 (3)" in lines[2]
    assert "1 of 3 missing" in lines[2]
    assert lines[4].startswith("mean of class means")


def test_mixed_units_twice_scored_and_nothing_are_refused() -> None:
    rows = [score("a", 1, "ok", 0.5, 1.0)]
    voxels = CaseScore("b", 1, "RV", "ok", 1, 1, "voxels", 1.0, 1.0, 0.0, 0.0)
    with pytest.raises(UserError, match="no common unit"):
        summarise([*rows, voxels], STRICT)
    with pytest.raises(UserError, match="scored twice"):
        summarise(rows * 2, STRICT)
    with pytest.raises(UserError, match="Nothing was scored"):
        summarise([], STRICT)


# --------------------------------------------------------------------------------------- upper bound


def test_nearest_neighbour_takes_pixel_centres() -> None:
    row = np.arange(6)[None, None].repeat(6, axis=1)
    assert resize_nearest(row, (6, 3))[0, 0].tolist() == [1, 3, 5]
    assert resize_nearest(row, (6, 12))[0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_resize_upper_bound_by_hand() -> None:
    label = np.zeros((1, 4, 4), np.uint8)
    label[0, 1, 1] = 1  # one pixel at the input size, four pixels when resized back
    label[0, 2:, 2:] = 2  # a whole block is preserved
    found = resize_upper_bound([label, label * 0], 2, ("background", "dot", "block", "none"))
    assert found == {"dot": pytest.approx(2 / 5), "block": 1.0, "none": None}
    assert resize_upper_bound([label], 4, ("background", "dot", "block"))["dot"] == 1.0
    with pytest.raises(UserError, match="at least 1"):
        resize_upper_bound([label], 0, ("background", "dot"))


@pytest.mark.parametrize(
    ("size", "expected"),
    [(224, (0.994, 0.989, 0.994)), (128, (0.954, 0.930, 0.964)), (96, (0.942, 0.911, 0.954))],
)
def test_resize_upper_bound_of_acdc(size: int, expected: tuple[float, ...]) -> None:
    h5py = pytest.importorskip("h5py")
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("SEMISEG_DATA", beside)) / "acdc" / "data"
    files = sorted(folder.glob("*.h5"))
    if not files:
        pytest.skip("ACDC is not here: set SEMISEG_DATA to the folder that holds acdc")
    labels = []
    for file in files:
        with h5py.File(file) as content:
            labels.append(np.asarray(content["label"]))
    found = resize_upper_bound(labels, size, ("background", "RV", "Myo", "LV"))
    assert list(found.values()) == [pytest.approx(value, abs=6e-4) for value in expected]
