"""Weighted cross entropy against a loop over the printed formula."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.ignore import cross_entropy
from semiseg.losses.weighted_cross_entropy import weighted_cross_entropy


def case(shape: tuple[int, ...] = (2, 4, 5)) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(shape[0], 3, *shape[1:], generator=generator, dtype=torch.float64)
    target = torch.randint(0, 3, shape, generator=generator)
    target[torch.rand(shape, generator=generator) < 0.3] = IGNORE_INDEX
    return logits, target, torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64)


@pytest.mark.parametrize("shape", [(2, 4, 5), (1, 2, 3, 4)])
def test_it_is_the_printed_formula(shape: tuple[int, ...]) -> None:
    logits, target, weights = case(shape)
    p, total, counted = logits.softmax(1), 0.0, 0.0
    for at in np.ndindex(*shape):
        code = int(target[at])
        if code != IGNORE_INDEX:
            total -= float(weights[code]) * math.log(float(p[(at[0], code, *at[1:])]))
            counted += float(weights[code])
    found = weighted_cross_entropy(logits, target, weights)
    assert float(found) == pytest.approx(total / counted, rel=1e-12)


def test_equal_weights_have_no_effect() -> None:
    logits, target, weights = case()
    found = weighted_cross_entropy(logits, target, torch.full_like(weights, 7))
    torch.testing.assert_close(found, cross_entropy(logits, target))


def test_gradcheck() -> None:
    logits, target, weights = case()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: weighted_cross_entropy(x, target, weights), logits)


def test_ignored_pixels_have_no_influence() -> None:
    logits, target, weights = case()
    ignored = (target == IGNORE_INDEX)[:, None]
    other = logits.masked_fill(ignored, 50.0)
    one, two = (weighted_cross_entropy(x, target, weights) for x in (logits, other))
    assert torch.equal(one, two)
    nothing = torch.full_like(target, IGNORE_INDEX)
    loss = weighted_cross_entropy(logits.requires_grad_(), nothing, weights)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_logits_stay_finite(scale: float, dtype: torch.dtype) -> None:
    logits, target, weights = case()
    x = (scale * logits.clamp(-1, 1)).to(dtype).requires_grad_()
    loss = weighted_cross_entropy(x, target, weights.float())
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
