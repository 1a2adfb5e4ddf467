"""Mutual consistency against a loop over the printed formula."""

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.losses.mutual_consistency import mutual_consistency


def case(count: int, shape: tuple[int, ...] = (2, 3, 2, 3)) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(5)
    drawn = torch.randn(2 * count, *shape, generator=generator, dtype=torch.float64).softmax(2)
    return list(drawn[:count]), list(drawn[count:])


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("shape", [(2, 3, 2, 3), (1, 2, 2, 2, 3)])
def test_it_is_the_printed_formula(count: int, shape: tuple[int, ...]) -> None:
    p, q = case(count, shape)
    expected = 0.0
    for i in range(count):
        for j in range(count):
            if i == j:
                continue
            squares = [(float(p[i][at]) - float(q[j][at])) ** 2 for at in np.ndindex(*shape)]
            expected += sum(squares) / len(squares)
    assert float(mutual_consistency(p, q)) == pytest.approx(expected, rel=1e-12)


def test_gradcheck() -> None:
    p, q = case(2)
    arguments = [x.requires_grad_() for x in (*p, *q)]
    assert torch.autograd.gradcheck(lambda *x: mutual_consistency(x[:2], x[2:]), arguments)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_certain_predictions_give_finite_losses(dtype: torch.dtype) -> None:
    one = torch.zeros(1, 2, 2, 2, dtype=dtype)
    one[:, 0] = 1
    loss = mutual_consistency([one, 1 - one], [one, 1 - one])
    assert loss.dtype == torch.float32
    assert loss.item() == 2
