"""Intervals of mean scores by the bootstrap over patients."""

import numpy as np
import pytest

from semiseg.evaluation.intervals import (
    FEW,
    interval_of_mean,
    interval_of_mean_over_groups,
    interval_words,
)
from semiseg.evaluation.protocols import STRICT, CaseScore
from semiseg.evaluation.summary import summarise


def test_it_agrees_with_the_normal_interval_of_many_patients() -> None:
    values = np.random.default_rng(1).normal(0.7, 0.1, 400)
    low, high = interval_of_mean({str(n): [v] for n, v in enumerate(values)}) or (0, 0)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.002)
    assert high == pytest.approx(values.mean() + half, abs=0.002)


def test_cases_of_one_patient_count_as_one_draw() -> None:
    rng = np.random.default_rng(2)
    of_patient = rng.normal(0.7, 0.1, 12)
    together = {str(n): [v] * 10 for n, v in enumerate(of_patient)}
    alone = {f"{n} {i}": [v] for n, v in enumerate(of_patient) for i in range(10)}
    wide, narrow = (interval_of_mean(scores) or (0, 0) for scores in (together, alone))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_few_equal_and_missing_values() -> None:
    assert interval_of_mean({"a": [0.5], "b": [0.6]}) is None
    assert interval_of_mean({"a": [0.5], "b": [0.6], "c": []}) is None
    assert interval_of_mean({"a": [0.5], "b": [0.5], "c": [0.5]}) == (0.5, 0.5)
    # a rare class, which many resamples leave without a value
    common = {name: [0.8] for name in "abcdef"}
    low, high = interval_of_mean_over_groups([common, {"a": [0.2]}]) or (0, 0)
    assert low == pytest.approx(0.5)
    assert high <= 0.8 + 1e-9


def test_a_summary_holds_them() -> None:
    dice = {"p1_a": 0.9, "p1_b": 0.8, "p2_a": 0.6, "p3_a": 0.7}
    rows = [CaseScore(case, 1, "LV", "ok", 5, 5, "mm", d, d, 1.0, 1.0) for case, d in dice.items()]
    summary = summarise(rows, STRICT, patients={case: case[:2] for case in dice})
    found = summary.overall["dice"].interval
    assert summary.patients == 3
    assert found is not None
    assert found == summary.classes[0].metrics["dice"].interval
    assert 0.59 < found[0] < 0.75 < found[1] < 0.86
    content = summary.to_json()
    assert content["patients"] == 3
    assert content["mean_over_classes"]["dice"]["interval"] == found
    # unknown patients: every case counts
    assert summarise(rows, STRICT).patients == 4


def test_words() -> None:
    assert interval_words((0.7, 0.8), FEW) == (
        "Mean Dice: 95% interval 70.0 to 80.0% (bootstrap over 20 patients)."
    )
    assert interval_words((0.7, 0.8), 12).endswith("12 patients are few.")
    assert "no interval" in interval_words(None, 2)
