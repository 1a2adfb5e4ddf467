"""Evenly spaced indices."""

import numpy as np

from semiseg.data.evenly_spaced import evenly_spaced


def test_places_are_spread_from_first_to_last_and_none_comes_twice() -> None:
    for length in range(2, 40):
        for most in range(2, 45):
            places = evenly_spaced(length, most)
            gaps = np.diff(places)
            assert len(places) == min(length, most)
            assert (places[0], places[-1]) == (0, length - 1)
            assert gaps.min() >= 1
            assert gaps.max() - gaps.min() <= 1


def test_none_one_and_none_asked_for() -> None:
    assert evenly_spaced(0, 5) == []
    assert evenly_spaced(1, 5) == [0]
    assert evenly_spaced(9, 1) == [0]
    assert evenly_spaced(9, 0) == []
