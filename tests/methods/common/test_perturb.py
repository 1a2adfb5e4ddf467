"""Perturbations of feature maps against loops."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from semiseg.methods.common.perturb import drop_attended, drop_channels, noise_features

PERTURBATIONS: list[Callable[..., Tensor]] = [drop_channels, noise_features, drop_attended]
SHAPES = [(4, 6, 5, 7), (2, 6, 3, 5, 4)]


def features(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_whole_channels_are_dropped(shape: tuple[int, ...]) -> None:
    x = features((200, *shape[1:]))
    torch.manual_seed(0)
    y = drop_channels(x, 0.25)
    dropped = (y == 0).flatten(2).all(2)
    torch.testing.assert_close(y[~dropped], x[~dropped] / 0.75)
    assert float(dropped.float().mean()) == pytest.approx(0.25, abs=0.04)
    assert torch.equal(drop_channels(x, 0.0), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_multiplies_each_element(shape: tuple[int, ...]) -> None:
    x = features(shape).abs() + 0.1
    torch.manual_seed(0)
    factors = noise_features(x) / x - 1
    assert factors.abs().max() <= 0.3 + 1e-5
    assert factors.abs().max() > 0.28
    assert factors.min() < -0.28
    assert len(factors.unique()) > 0.9 * factors.numel()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_most_active_places_are_dropped(shape: tuple[int, ...]) -> None:
    x = features(shape).abs()
    torch.manual_seed(0)
    y = drop_attended(x, 0.7, 0.9)
    thresholds = []
    for image, seen in zip(x, y, strict=True):
        attention = image.mean(0)
        kept = seen.abs().sum(0) > 0
        assert torch.equal(seen, image * kept)
        share = attention / attention.max()
        assert share[kept].max() < share[~kept].min()  # a threshold separates them
        assert (share[kept] < 0.9).all()
        assert (share[~kept] >= 0.7).all()
        thresholds.append(float(share[~kept].min()))
    assert len(set(thresholds)) == len(x)


@pytest.mark.parametrize("perturb", PERTURBATIONS)
def test_tensors_lists_and_dicts(perturb: Callable[..., Tensor]) -> None:
    maps = {1: features((2, 3, 8, 8)), 4: features((2, 5, 2, 2))}

    def seeded(given: object) -> object:
        torch.manual_seed(3)
        return perturb(given)

    as_dict, as_list = seeded(maps), seeded(list(maps.values()))
    assert isinstance(as_dict, dict)
    assert isinstance(as_list, list)
    assert list(as_dict) == [1, 4]
    torch.manual_seed(3)
    alone = [perturb(x) for x in maps.values()]
    for one, other, single in zip(as_dict.values(), as_list, alone, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, single)


@pytest.mark.parametrize("perturb", PERTURBATIONS)
def test_gradients_and_extremes_are_finite(perturb: Callable[..., Tensor]) -> None:
    for value in (0.0, -1.0, 1e30):
        x = torch.full((2, 3, 4, 4), value, requires_grad=True)
        y = perturb(x)
        y.sum().backward()
        assert torch.isfinite(y).all()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
