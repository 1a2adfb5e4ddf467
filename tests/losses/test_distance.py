"""Losses of signed distance maps against loops over the printed formulas."""

import math

import pytest
import torch
from torch import Tensor

from semiseg.losses.distance import distance_mse, distance_to_probability


def case(shape: tuple[int, ...] = (2, 3, 4, 5)) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    target = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
    return x, target, torch.rand(shape[0], *shape[2:], generator=generator) < 0.6


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 2, 2, 3, 4)])
@pytest.mark.parametrize("masked", [True, False])
def test_regression_is_the_printed_formula(shape: tuple[int, ...], masked: bool) -> None:
    x, target, mask = case(shape)
    total, count = 0.0, 0
    s, t, m = x.tanh().flatten(2), target.flatten(2), mask.flatten(1)
    for b in range(shape[0]):
        for k in range(shape[1]):
            for i in range(s.shape[2]):
                if bool(m[b, i]) or not masked:
                    total += (float(s[b, k, i]) - float(t[b, k, i])) ** 2
                    count += 1
    found = distance_mse(x.tanh(), target, mask if masked else None)
    assert float(found) == pytest.approx(total / count, rel=1e-12)


def test_the_step_is_the_printed_formula() -> None:
    s = torch.linspace(-0.004, 0.004, 9, dtype=torch.float64)
    for k in (1500.0, 200.0):
        expected = [1 / (1 + math.exp(k * float(x))) for x in s]
        assert distance_to_probability(s, k).tolist() == pytest.approx(expected, rel=1e-9)
    assert torch.equal(distance_to_probability(s), distance_to_probability(s, 1500.0))
    inside, edge, outside = distance_to_probability(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    assert (inside, edge, outside) == (1.0, 0.5, 0.0)


def test_gradcheck() -> None:
    x, target, mask = case((2, 2, 2, 3))
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: distance_mse(z.tanh(), target, mask), x)
    assert torch.autograd.gradcheck(lambda z: distance_to_probability(z.tanh(), 3.0), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1e4])
def test_extreme_maps_stay_finite(scale: float, dtype: torch.dtype) -> None:
    x, target, mask = case()
    x = (scale * x.clamp(-1, 1)).to(dtype).requires_grad_()
    loss = distance_mse(x.tanh(), target.float(), mask) + distance_to_probability(x.tanh()).mean()
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_nothing_that_counts_is_0_with_a_graph() -> None:
    x, target, mask = case()
    loss = distance_mse(x.requires_grad_().tanh(), target, torch.zeros_like(mask))
    loss.backward()
    assert loss.item() == 0
    assert x.grad is not None
    assert not x.grad.any()
