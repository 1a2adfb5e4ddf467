"""Colour jitter against loops and the standard library's HSV."""

import colorsys

import pytest
import torch
from torch import Tensor

from semiseg.methods.common.colour_jitter import ColourOptions, colour_jitter, grey, shift_hue

SHAPES = [(6, 3, 12, 15), (6, 1, 12, 15), (4, 1, 6, 9, 8)]
STILL = {
    "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "jitter_probability": 1.0,
    "blur_probability": 0.0,
}  # fmt: skip


def images(shape: tuple[int, ...]) -> Tensor:
    """Images whose range is [0, 1]."""
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    x.flatten(1)[:, 0], x.flatten(1)[:, 1] = 0, 1
    return x


def jitter(x: Tensor, colours: bool = False, **values: float) -> Tensor:
    torch.manual_seed(0)
    return colour_jitter(x, ColourOptions.model_validate(STILL | values), colours)


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_changes_without_ranges_or_probability(shape: tuple[int, ...]) -> None:
    x, colours = images(shape), shape[1] == 3
    torch.testing.assert_close(jitter(x, colours), x, atol=1e-5, rtol=1e-5)
    never = {"jitter_probability": 0.0, "brightness": 1.0, "contrast": 1.0}
    torch.testing.assert_close(jitter(x, colours, **never), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_brightness_and_contrast_are_factors(shape: tuple[int, ...]) -> None:
    x = images(shape)
    torch.manual_seed(0)
    draws = 2 * torch.rand(4, len(x)) - 1
    for name, draw in zip(("brightness", "contrast"), draws, strict=False):
        found = jitter(x, **{name: 0.5})
        for image, seen, factor in zip(x, found, 1 + 0.5 * draw, strict=True):
            centre = 0.0 if name == "brightness" else image.mean()
            expected = (centre + factor * (image - centre)).clamp(0, 1)
            torch.testing.assert_close(seen, expected)


def test_the_hue_is_that_of_hsv() -> None:
    x = images((2, 3, 4, 5))
    x[1, :, 0] = 0.5  # grey
    found = shift_hue(x, torch.tensor([0.1, -0.25]).view(2, 1, 1, 1))
    for image, seen, turns in zip(x, found, (0.1, -0.25), strict=True):
        for colour, other in zip(image.flatten(1).T, seen.flatten(1).T, strict=True):
            h, s, v = colorsys.rgb_to_hsv(*colour.tolist())
            expected = colorsys.hsv_to_rgb((h + turns) % 1, s, v)
            assert other.tolist() == pytest.approx(expected, abs=1e-5)


def test_saturation_and_hue_are_for_colour_pictures_only() -> None:
    x = images((4, 3, 8, 8))
    for values in ({"saturation": 0.5}, {"hue": 0.25}):
        torch.testing.assert_close(jitter(x, **values), x, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(jitter(x, colours=True, **values), x, atol=0.01)
    faded = jitter(x * 0.5, colours=True, saturation=0.5)
    torch.testing.assert_close(grey(faded), grey(x * 0.5), atol=0.1, rtol=0.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_image_keeps_its_range_in_any_unit(shape: tuple[int, ...]) -> None:
    x, colours = images(shape), shape[1] == 3
    torch.manual_seed(3)
    found = colour_jitter(x, ColourOptions(), colours)
    assert found.shape == x.shape
    assert (found >= 0).all()
    assert (found <= 1).all()
    torch.manual_seed(3)
    other = colour_jitter(4 * x - 2.5, ColourOptions(), colours)
    torch.testing.assert_close(other, 4 * found - 2.5, atol=1e-4, rtol=1e-4)


def test_constant_images_do_not_change() -> None:
    x = torch.full((3, 3, 6, 6), 0.3)
    assert torch.equal(colour_jitter(x, ColourOptions(), True), x)


def test_each_image_has_draws_of_its_own_and_some_none() -> None:
    x = images((1, 1, 8, 8)).expand(300, 1, 8, 8).clone()
    torch.manual_seed(0)
    plain = ColourOptions(blur_probability=0.0)
    same = (colour_jitter(x, plain) - x).abs().flatten(1).amax(1) < 1e-6
    assert float(same.float().mean()) == pytest.approx(0.2, abs=0.06)
    blurred = ColourOptions(jitter_probability=0.0, blur=(1.0, 2.0))
    moved = (colour_jitter(x, blurred) - x).abs().flatten(1).amax(1) > 1e-3
    assert float(moved.float().mean()) == pytest.approx(0.5, abs=0.08)
