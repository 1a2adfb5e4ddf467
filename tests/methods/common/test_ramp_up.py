"""Ramp-ups by t/T and by iterations."""

import math

import pytest

from semiseg.methods.common.ramp_up import linear_rampup, sigmoid_rampup


@pytest.mark.parametrize("t", range(0, 130, 7))
def test_the_printed_formulas(t: int) -> None:
    held = min(t, 100)
    assert sigmoid_rampup(t, 100) == pytest.approx(math.exp(-5 * (1 - held / 100) ** 2))
    assert linear_rampup(t, 100) == pytest.approx(held / 100)


def test_a_fraction_needs_no_length() -> None:
    assert [sigmoid_rampup(x) for x in (0.0, 0.3, 1.0)] == [
        sigmoid_rampup(x, 10) for x in (0, 3, 10)
    ]
    assert linear_rampup(0.25) == 0.25


def test_the_ends() -> None:
    for ramp in (sigmoid_rampup, linear_rampup):
        assert ramp(0, 0) == ramp(5, 0) == ramp(50, 50) == ramp(51, 50) == 1
        assert ramp(-1, 50) == ramp(0, 50) < 0.01
