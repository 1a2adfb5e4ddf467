"""The corrected consistency of HCE against a loop over the formula."""

import math

import pytest
import torch
from torch import Tensor

from semiseg.losses.hce import corrected_mse


def case(shape: tuple[int, ...] = (2, 3, 4, 5)) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of two predictions in double precision, and a mask."""
    generator = torch.Generator().manual_seed(3)
    x, y = 2 * torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return x, y, torch.rand(shape[0], *shape[2:], generator=generator) < 0.6


@pytest.mark.parametrize("shape", [(2, 2, 4, 5), (2, 4, 2, 3, 4)])
def test_the_formula(shape: tuple[int, ...]) -> None:
    x, y, mask = case(shape)
    p, q = x.softmax(1), y.softmax(1)
    for given, known in ((None, torch.ones_like(mask)), (mask, mask)):
        total, count = 0.0, 0
        for b in range(shape[0]):
            for i in known[b].flatten().nonzero()[:, 0].tolist():
                student = p[b].flatten(1)[:, i].tolist()
                teacher = q[b].flatten(1)[:, i].tolist()
                u = -sum(c * math.log(c) for c in teacher) / math.log(shape[1])
                for one, other in zip(student, teacher, strict=True):
                    total += (one - ((1 - u) * other + u * one)) ** 2 / shape[1]
                count += 1
        assert float(corrected_mse(p, q, given)) == pytest.approx(total / count, rel=1e-12)


def test_gradcheck() -> None:
    x, y, mask = case((2, 3, 2, 2))
    x.requires_grad_()
    q = y.softmax(1)
    assert torch.autograd.gradcheck(lambda x: corrected_mse(x.softmax(1), q, mask), (x,))


def test_a_certain_teacher_teaches_and_an_uncertain_one_does_not() -> None:
    p = torch.tensor([[0.25, 0.75]], requires_grad=True)
    certain = corrected_mse(p, torch.tensor([[1.0, 0.0]]))
    assert certain.item() == pytest.approx(0.75**2)
    uncertain = corrected_mse(p, torch.tensor([[0.5, 0.5]]))
    assert uncertain.item() == pytest.approx(0, abs=1e-12)
    (gradient,) = torch.autograd.grad(uncertain, p)
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 60.0, 1e4])
def test_extreme_predictions_stay_finite(scale: float, dtype: torch.dtype) -> None:
    x, y, mask = case()
    x, y = ((scale * z.clamp(-1, 1)).to(dtype) for z in (x, y))
    x.requires_grad_()
    value = corrected_mse(x.softmax(1), y.softmax(1), mask)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_what_the_mask_leaves_out_has_no_part() -> None:
    x, y, mask = case()
    x.requires_grad_()
    corrected_mse(x.softmax(1), y.softmax(1), mask).backward()
    assert x.grad is not None
    assert not x.grad[~mask[:, None].expand_as(x)].any()
    assert corrected_mse(x.softmax(1), y.softmax(1), torch.zeros_like(mask)).item() == 0
