"""Quarter turns, flips and scaling against numpy, on slices and on volumes."""

import numpy as np
import pytest
import torch

from semiseg.methods.common.plane_transform import apply_transforms, draw_transforms, inside


@pytest.mark.parametrize("sides", [(6, 6), (4, 6), (3, 6, 6), (3, 4, 6)])
def test_turns_and_flips_are_those_of_numpy(sides: tuple[int, ...]) -> None:
    """Every image is one of the symmetries of its plane, and all of them occur."""
    torch.manual_seed(0)
    image = torch.randn(1, 2, *sides)
    quarter = sides[-1] == sides[-2]
    matrices = draw_transforms(64, quarter=quarter, scales=(1, 1))
    moved = apply_transforms(image.expand(64, *image.shape[1:]), matrices).numpy()
    turns = (0, 1, 2, 3) if quarter else (0, 2)
    known = [
        np.rot90(x, turn, (-2, -1)) for x in (image[0].numpy(), image[0].numpy()[..., ::-1, :])
        for turn in turns
    ]  # fmt: skip
    found = set()
    for one in moved:
        (number,) = [i for i, x in enumerate(known) if np.allclose(one, x, atol=1e-4)]
        found.add(number)
    assert found == set(range(len(known)))
    assert inside(matrices, sides).all()


@pytest.mark.parametrize("sides", [(16, 16), (2, 16, 16)])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_scale_is_a_factor_of_lengths(scale: float, sides: tuple[int, ...]) -> None:
    """A square of 4 pixels in the middle becomes one of 2 or 8 pixels."""
    image = torch.zeros(1, 1, *sides)
    image[..., 6:10, 6:10] = 1
    matrices = draw_transforms(1, scales=(scale, scale))
    moved = apply_transforms(image, matrices)
    half = int(2 * scale)
    middle = moved[..., 8 - half + 1 : 8 + half - 1, 8 - half + 1 : 8 + half - 1]
    torch.testing.assert_close(middle, torch.ones_like(middle))
    assert moved[..., : 8 - half - 1, :].abs().max() < 1e-4
    assert float(moved.sum()) == pytest.approx(scale**2 * float(image.sum()), rel=1e-4)


@pytest.mark.parametrize("sides", [(8, 8), (2, 8, 8)])
def test_what_lies_inside_is_still_a_prediction(sides: tuple[int, ...]) -> None:
    """Half the size: the middle 4 x 4 pixels are inside, and there probabilities still sum to 1."""
    matrices = draw_transforms(3, scales=(0.5, 0.5))
    mask = inside(matrices, sides)
    expected = torch.zeros(3, *sides, dtype=torch.bool)
    expected[..., 2:6, 2:6] = True
    assert torch.equal(mask, expected)
    p = torch.randn(3, 4, *sides).softmax(1)
    total = apply_transforms(p, matrices, outside="border").sum(1)
    torch.testing.assert_close(total[mask], torch.ones_like(total[mask]))
    assert not apply_transforms(p, matrices)[..., 0, :].any()


def test_scales_are_uniform_and_images_differ() -> None:
    torch.manual_seed(0)
    matrices = draw_transforms(2000)
    scales = 1 / matrices[:, :, :2].square().sum(1).sqrt()
    torch.testing.assert_close(scales[:, 0], scales[:, 1])
    assert 0.8 <= scales.min() < 0.81
    assert 1.19 < scales.max() <= 1.2001
    assert scales.mean() == pytest.approx(1.0, abs=0.01)
    assert not matrices[:, :, 2].any()


def test_no_image_is_no_transform() -> None:
    matrices = draw_transforms(0)
    assert apply_transforms(torch.zeros(0, 1, 4, 4), matrices).shape == (0, 1, 4, 4)
