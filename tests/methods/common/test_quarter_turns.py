"""Rotations by quarter turns, drawn for each image."""

import pytest
import torch

from semiseg.methods.common.quarter_turns import allows_quarter_turns, draw_turns, turn


@pytest.mark.parametrize("shape", [(4, 2, 5, 5), (4, 2, 3, 5, 5)])
def test_each_image_has_its_own_rotation(shape: tuple[int, ...]) -> None:
    x = torch.arange(float(torch.Size(shape).numel())).reshape(shape)
    turns = torch.tensor([3, 0, 1, 2])
    y = turn(x, turns)
    side = shape[-1]
    for image, rotated, number in zip(x, y, turns.tolist(), strict=True):
        for row in range(side):
            for column in range(side):
                place = (row, column)
                for _ in range(number):  # counterclockwise
                    place = (side - 1 - place[1], place[0])
                assert torch.equal(rotated[(..., *place)], image[..., row, column])
    assert torch.equal(turn(y, -turns), x)


def test_other_planes_are_turned_upside_down_only() -> None:
    x = torch.randn(3, 1, 2, 4)
    turns = torch.tensor([0, 2, 1])
    y = turn(x, turns)
    assert torch.equal(y[0], x[0])
    assert torch.equal(y[1], x[1].flip(-1, -2))
    assert torch.equal(y[2], x[2])


@pytest.mark.parametrize(
    ("sides", "spacing", "allowed"),
    [
        ((4, 4), (1, 1), True),
        ((4, 5), (1, 1), False),
        ((4, 4), (1, 1.5), False),
        ((2, 4, 4), (3, 1, 1), True),
        ((4, 4, 2), (1, 1, 1), False),
        ((4, 4, 4), (1, 1, 2), False),
    ],
)
def test_only_square_planes_of_square_pixels_are_turned(
    sides: tuple[int, ...], spacing: tuple[float, ...], allowed: bool
) -> None:
    assert allows_quarter_turns(sides, spacing) is allowed


def test_all_rotations_are_drawn() -> None:
    torch.manual_seed(0)
    counts = draw_turns(4000).bincount(minlength=4)
    assert counts.min() > 900
    assert set(draw_turns(100, quarter=False).tolist()) == {0, 2}
