"""The weight of a consistency: its ramp-up, and its start."""

import math

import pytest

from semiseg.methods.base import Step
from semiseg.methods.common.consistency import (
    ConsistencyOptions,
    consistency_rampup,
    consistency_weight,
)


@pytest.mark.parametrize("start", [0.25, 50.0])
def test_the_weight_rises_after_its_start(start: float) -> None:
    """A fraction of the run, or an iteration: here both are iteration 50 of 200."""
    options = ConsistencyOptions(consistency_weight=3.0, consistency_from=start)
    for index in (0, 49):
        assert consistency_rampup(options, Step(index, 200)) == 0
        assert consistency_weight(options, Step(index, 200)) == 0
    for index in (50, 100, 199):
        expected = math.exp(-5 * (1 - index / 200) ** 2)
        assert consistency_rampup(options, Step(index, 200)) == pytest.approx(expected)
        assert consistency_weight(options, Step(index, 200)) == pytest.approx(3 * expected)
