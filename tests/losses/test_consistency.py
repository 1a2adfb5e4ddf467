"""Squared error and divergences of softmaxes against loops over the printed formulas."""

import functools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from semiseg.losses.consistency import js_divergence, kl_divergence, kl_per_pixel, softmax_mse
from semiseg.losses.masked_mean import masked_mean

Loss = Callable[..., Tensor]


def case(shape: tuple[int, ...] = (2, 3, 4, 5)) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of two predictions in double precision, and a mask."""
    generator = torch.Generator().manual_seed(3)
    x, y = 2 * torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return x, y, torch.rand(shape[0], *shape[2:], generator=generator) < 0.6


def mse(p: list[float], q: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) / len(p)


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def js(p: list[float], q: list[float]) -> float:
    def h(x: list[float]) -> float:
        return -sum(a * math.log(a) for a in x)

    return h([(a + b) / 2 for a, b in zip(p, q, strict=True)]) - (h(p) + h(q)) / 2


def looped(formula: Callable[..., float], p: Tensor, q: Tensor, weights: Tensor) -> float:
    total, weight = 0.0, 0.0
    p, q, weights = p.flatten(2), q.flatten(2), weights.flatten(1)
    for b in range(len(p)):
        for i in range(p.shape[2]):
            w = float(weights[b, i])
            total += w * formula(p[b, :, i].tolist(), q[b, :, i].tolist())
            weight += w
    return total / weight


PAIRS: list[tuple[Loss, Callable[..., float]]] = [
    (softmax_mse, mse), (kl_divergence, kl), (js_divergence, js),
]  # fmt: skip
LOSSES = [loss for loss, _ in PAIRS]


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 4, 2, 3, 4)])
@pytest.mark.parametrize(("loss", "formula"), PAIRS)
def test_the_printed_formulas(
    loss: Loss, formula: Callable[..., float], shape: tuple[int, ...]
) -> None:
    x, y, mask = case(shape)
    p, q = x.softmax(1), y.softmax(1)
    weights = x[:, 0].exp()
    for given, known in ((None, torch.ones_like(mask)), (mask, mask), (weights, weights)):
        expected = looped(formula, p, q, known.double())
        assert float(loss(p, q, given)) == pytest.approx(expected, rel=1e-12)


def test_the_divergence_is_not_symmetric_and_its_map_is_per_pixel() -> None:
    x, y, _ = case()
    p, q = x.softmax(1), y.softmax(1)
    found = kl_per_pixel(p, q)
    assert found.shape == (2, 4, 5)
    assert float(found[1, 2, 3]) == pytest.approx(
        kl(p[1, :, 2, 3].tolist(), q[1, :, 2, 3].tolist())
    )
    assert not torch.allclose(found, kl_per_pixel(q, p))


@pytest.mark.parametrize("loss", LOSSES)
def test_gradcheck(loss: Loss) -> None:
    x, y, mask = case((2, 3, 2, 2))
    x.requires_grad_()
    y.requires_grad_()
    for given in (None, mask[:, :2, :2]):
        both = functools.partial(_of_logits, loss, given)
        assert torch.autograd.gradcheck(both, (x, y))


def _of_logits(loss: Loss, mask: Tensor | None, x: Tensor, y: Tensor) -> Tensor:
    return loss(x.softmax(1), y.softmax(1), mask)


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_predictions_are_0_apart_and_opposite_ones_as_far_as_can_be(loss: Loss) -> None:
    x, _, _ = case()
    p = x.softmax(1)
    assert float(loss(p, p)) == pytest.approx(0, abs=1e-12)
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    known = {softmax_mse: 1.0, js_divergence: math.log(2), kl_divergence: 126 * math.log(2)}
    assert float(loss(one, other)) == pytest.approx(known[loss], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 60.0, 1e4])
@pytest.mark.parametrize("loss", LOSSES)
def test_extreme_predictions_stay_finite(loss: Loss, scale: float, dtype: torch.dtype) -> None:
    x, y, mask = case()
    x, y = ((scale * z.clamp(-1, 1)).to(dtype).requires_grad_() for z in (x, y))
    value = loss(x.softmax(1), y.softmax(1), mask)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    for z in (x, y):
        assert z.grad is not None
        assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_what_the_mask_leaves_out_has_no_part(loss: Loss) -> None:
    x, y, mask = case()
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x.softmax(1), y.softmax(1), mask), x)
    outside = ~mask[:, None].expand_as(x)
    assert not gradient[outside].any()
    assert gradient[~outside].abs().min() > 0
    empty = loss(x.softmax(1), y.softmax(1), torch.zeros_like(mask))
    assert empty.item() == 0
    empty.backward()
    assert x.grad is not None
    assert not x.grad.any()


def test_a_mean_over_what_counts() -> None:
    values = torch.tensor([[1.0, 2.0, 4.0]])
    assert masked_mean(values).item() == pytest.approx(7 / 3)
    assert masked_mean(values, torch.tensor([[True, False, True]])).item() == 2.5
    assert masked_mean(values, torch.tensor([[0.5, 0.0, 0.25]])).item() == pytest.approx(2.0)
    maps = torch.stack([values, 3 * values], 1)  # [1, K, 3]
    assert masked_mean(maps, torch.tensor([[True, False, True]])).item() == 5.0
