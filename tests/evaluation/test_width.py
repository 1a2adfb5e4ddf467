"""The mean width of structures in a slice."""

import numpy as np
import pytest

from semiseg.evaluation.width import mean_width


@pytest.mark.parametrize("width", [2, 4, 6, 10, 20])
def test_the_width_of_a_strip(width: int) -> None:
    mask = np.zeros((30, 400), bool)
    mask[5 : 5 + width] = True  # from edge to edge, so that only the long sides are near
    assert mean_width(mask[:, 50:350]) == pytest.approx(width, rel=0.07)
    assert mean_width(np.swapaxes(mask, 0, 1)) == pytest.approx(width, rel=0.07)


def test_lines_of_one_pixel_are_thin_and_do_not_add_up() -> None:
    mask = np.zeros((40, 40), bool)
    mask[::4] = True
    width = mean_width(mask)
    assert width == pytest.approx(2)  # distances are at least half a pixel
    one = np.zeros((40, 40), bool)
    one[8] = True
    assert mean_width(one) == pytest.approx(2)


def test_a_disc_has_two_thirds_of_its_diameter() -> None:
    y, x = np.mgrid[:101, :101]
    width = mean_width(np.hypot(y - 50, x - 50) < 40)
    assert width == pytest.approx(80 * 2 / 3, rel=0.03)


def test_nothing_has_no_width() -> None:
    assert mean_width(np.zeros((4, 4), bool)) is None


def test_a_mask_that_fills_the_slice_ends_at_its_edge() -> None:
    assert mean_width(np.ones((4, 100), bool)) == pytest.approx(4, rel=0.05)
