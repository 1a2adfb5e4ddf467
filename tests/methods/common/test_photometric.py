"""Photometric augmentation: each operation, both units of images, 2D and 3D."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from semiseg.methods.common.photometric import (
    Photometric,
    PhotometricRanges,
    apply_photometric,
    draw_photometric,
    gaussian_blur,
    lower_resolution,
    photometric_augment,
    scale_to_unit,
)

SHAPES = [(4, 2, 12, 15), (3, 1, 6, 9, 8)]
NEUTRAL = {"brightness": 0.0, "contrast": 1.0, "gamma": 1.0, "blur": 0.0, "noise": 0.0}


def images(shape: tuple[int, ...], zscored: bool = False) -> Tensor:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return 4 * x - 2.5 if zscored else x


def only(count: int, **values: float) -> Photometric:
    return Photometric(**{n: torch.full((count,), v) for n, v in (NEUTRAL | values).items()})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("zscored", [False, True])
def test_each_operation_is_its_formula(shape: tuple[int, ...], zscored: bool) -> None:
    x = images(shape, zscored)
    low, high, mean = (
        f(x.flatten(1), 1).view(-1, *(1,) * (x.ndim - 1)) for f in (torch.amin, torch.amax, torch.mean)
    )  # fmt: skip
    width = high - low
    expected = {
        "brightness": (x + 0.2 * width).clamp(low, high),
        "contrast": ((x - mean) * 1.4 + mean).clamp(low, high),
        "gamma": low + width * ((x - low) / width) ** 0.8,
    }
    for (name, value), amount in zip(expected.items(), (0.2, 1.4, 0.8), strict=True):
        found = apply_photometric(x, only(len(x), **{name: amount}), 0.0)
        torch.testing.assert_close(found, value, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(found, x, atol=1e-2)
    torch.testing.assert_close(apply_photometric(x, only(len(x)), 1.0), x)
    torch.manual_seed(0)
    noisy = apply_photometric(x, only(len(x), noise=0.05), 0.0)
    inside = (x - low > 0.2 * width) & (high - x > 0.2 * width)
    spread = float(((noisy - x) / width)[inside].std())
    assert spread == pytest.approx(0.05, rel=0.15)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_image_has_draws_of_its_own(shape: tuple[int, ...]) -> None:
    x = images(shape)[:1].expand(len(images(shape)), *shape[1:]).clone()
    torch.manual_seed(0)
    views = photometric_augment(x, PhotometricRanges(probability=1.0))
    assert len({float(view.sum()) for view in views}) == len(views)
    assert (views != x).flatten(1).any(1).all()


@pytest.mark.parametrize("zscored", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_stay_in_the_images_range_and_a_seed_reproduces_them(
    shape: tuple[int, ...], zscored: bool
) -> None:
    x = images(shape, zscored)
    given = x.clone()
    torch.manual_seed(2)
    views = photometric_augment(x)
    torch.manual_seed(2)
    assert torch.equal(photometric_augment(x), views)
    assert torch.equal(x, given)
    assert views.shape == x.shape
    assert views.dtype == x.dtype
    for image, view in zip(x, views, strict=True):
        assert view.min() >= image.min() - 1e-6
        assert view.max() <= image.max() + 1e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_scaling_keeps_each_images_order_and_goes_back(shape: tuple[int, ...]) -> None:
    x = images(shape, zscored=True)
    x[0] = 3.7
    unit, low, width = scale_to_unit(x)
    assert not unit[0].any()
    for image in unit[1:]:
        assert (image.min(), image.max()) == (0, 1)
    torch.testing.assert_close(low + width * unit, x)
    assert torch.equal((low + width * torch.rand_like(x))[0], x[0])


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e4])
def test_constant_images_stay_as_they_are(value: float) -> None:
    x = torch.full((6, 2, 8, 8), value)
    torch.manual_seed(0)
    assert torch.equal(photometric_augment(x, PhotometricRanges(probability=1.0)), x)


@pytest.mark.parametrize("spacing", [None, (3.0, 1.0, 1.5)])
def test_the_blur_is_that_of_scipy(spacing: tuple[float, float, float] | None) -> None:
    x = images((3, 2, 5, 12, 11)).double()
    deviations = torch.tensor([0.0, 0.8, 1.5])
    found = gaussian_blur(x, deviations, 1.5, spacing)
    assert torch.equal(found[0], x[0])
    for image, blurred, deviation in zip(x[1:], found[1:], deviations[1:], strict=True):
        per_axis = [float(deviation) / s for s in spacing or (1.0, 1.0, 1.0)]
        radii = [int(np.ceil(3 * 1.5 / s)) for s in spacing or (1.0, 1.0, 1.0)]
        for channel, seen in zip(image.numpy(), blurred.numpy(), strict=True):
            known = channel
            for axis, (s, r) in enumerate(zip(per_axis, radii, strict=True)):
                known = ndimage.gaussian_filter1d(known, s, axis, mode="nearest", radius=r)
            np.testing.assert_allclose(seen, known, atol=1e-6)


def test_a_blur_wider_than_the_image_is_finite() -> None:
    found = gaussian_blur(images((2, 1, 2, 3)), torch.tensor([4.0, 0.1]), 4.0)
    assert torch.isfinite(found).all()


def test_draws_lie_in_their_ranges_and_are_neutral_where_not_chosen() -> None:
    ranges = PhotometricRanges(probability=0.5)
    torch.manual_seed(0)
    drawn = draw_photometric(2000, ranges)
    bounds = {
        "brightness": (-0.3, 0.3), "contrast": (0.6, 1.5), "gamma": (0.7, 1.5), "blur": (0.3, 1.5),
        "noise": (0.0, 0.1),
    }  # fmt: skip
    for name, (low, high) in bounds.items():
        values = getattr(drawn, name)
        chosen = values[values != NEUTRAL[name]]
        assert len(chosen) == pytest.approx(1000, abs=100)
        assert low <= chosen.min() < low + 0.05 * (high - low)
        assert high >= chosen.max() > high - 0.05 * (high - low)
    none = draw_photometric(3, PhotometricRanges(probability=0.0))
    assert all(torch.equal(getattr(none, n), torch.full((3,), v)) for n, v in NEUTRAL.items())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("zscored", [False, True])
def test_inverted_gamma_is_the_gamma_of_the_negative(shape: tuple[int, ...], zscored: bool) -> None:
    x = images(shape, zscored)
    drawn = only(len(x))
    drawn.inverted_gamma = torch.ones(len(x))
    drawn.inverted_gamma[0] = 1.4
    found = apply_photometric(x, drawn, 0.0)
    plain = only(len(x), gamma=1.4)
    torch.testing.assert_close(
        found[0], -apply_photometric(-x, plain, 0.0)[0], atol=1e-5, rtol=1e-5
    )
    assert torch.equal(found[1:], apply_photometric(x, only(len(x)), 0.0)[1:])


def enlarged(row: np.ndarray, factor: float) -> np.ndarray:
    """A row, sampled at fewer pixels (nearest) and interpolated linearly, pixel by pixel."""
    side = len(row)
    count = max(round(side * factor), 1)
    coarse = [row[int((j + 0.5) * side / count)] for j in range(count)]
    out = np.empty(side)
    for i in range(side):
        place = min(max((i + 0.5) * count / side - 0.5, 0.0), count - 1.0)
        first = int(place)
        second = min(first + 1, count - 1)
        out[i] = (1 - (place - first)) * coarse[first] + (place - first) * coarse[second]
    return out


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((4, 2, 12, 15), None), ((4, 1, 6, 9, 8), None), ((4, 1, 6, 9, 8), (3.0, 1.0, 1.5))],
)
def test_a_low_resolution_is_a_loop_over_pixels(
    shape: tuple[int, ...], spacing: tuple[float, ...] | None
) -> None:
    x = images(shape).double()
    factors = torch.tensor([1.0, 0.5, 0.71, 0.93], dtype=torch.float64)
    found = lower_resolution(x, factors, spacing)
    assert torch.equal(found[0], x[0])
    for image, seen, factor in zip(x, found, factors.tolist(), strict=True):
        known = image.numpy()
        for axis, length in enumerate(spacing or (1.0,) * (x.ndim - 2), start=1):
            known = np.apply_along_axis(enlarged, axis, known, min(factor * length, 1.0))
        np.testing.assert_allclose(seen.numpy(), known, atol=1e-9)
        assert seen.min() >= image.min()
        assert seen.max() <= image.max()
    assert (found[1:] != x[1:]).flatten(1).any(1).all()


def test_half_the_resolution_is_that_of_torch() -> None:
    x = images((2, 3, 16, 24))
    small = F.interpolate(x, scale_factor=0.5, mode="nearest-exact")
    known = F.interpolate(small, x.shape[2:], mode="bilinear")
    found = lower_resolution(x, torch.full((2,), 0.5))
    torch.testing.assert_close(found, known)


def test_what_is_off_draws_nothing_and_changes_nothing() -> None:
    """The numbers of version 0.1.0."""
    x = images((2, 1, 4, 4))
    views = []
    for ranges in (
        PhotometricRanges(), PhotometricRanges(low_resolution=(0.2, 0.3)),
    ):  # fmt: skip
        torch.manual_seed(0)
        views.append(photometric_augment(x, ranges))
        later = torch.rand(1).item()
        assert later == pytest.approx(0.698441, abs=1e-6)
    assert torch.equal(*views)
    assert views[0][:, 0, 1, 2].tolist() == pytest.approx([0.399876, 0.431396], abs=1e-5)


def test_the_two_with_their_own_probability_are_drawn_alone() -> None:
    ranges = PhotometricRanges(
        probability=0, inverted_gamma_probability=0.2, low_resolution_probability=0.4
    )
    torch.manual_seed(0)
    drawn = draw_photometric(3000, ranges)
    for values, share, (low, high) in (
        (drawn.inverted_gamma, 0.2, (0.7, 1.5)), (drawn.resolution, 0.4, (0.5, 1.0)),
    ):  # fmt: skip
        assert values is not None
        chosen = values[values != 1]
        assert len(chosen) / 3000 == pytest.approx(share, abs=0.03)
        assert low <= chosen.min() < low + 0.05 * (high - low)
        assert high >= chosen.max() > high - 0.05 * (high - low)
    assert all(torch.equal(getattr(drawn, n), torch.full((3000,), v)) for n, v in NEUTRAL.items())
    assert not torch.equal(photometric_augment(images((2, 1, 9, 9)), ranges.model_copy(
        update={"low_resolution_probability": 1.0, "low_resolution": (0.5, 0.6)}
    )), images((2, 1, 9, 9)))  # fmt: skip
