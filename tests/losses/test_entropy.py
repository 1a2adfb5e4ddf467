"""The entropy of predictions against the printed formula."""

import math

import pytest
import torch
from torch import Tensor

from semiseg.losses.entropy import entropy


def logits() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)


def test_entropy_is_the_printed_formula() -> None:
    p = logits().softmax(1)
    found = entropy(p)
    assert found.shape == (2, 4, 5)
    for b, r, c in ((0, 0, 0), (1, 3, 4)):
        expected = -sum(float(x) * math.log(float(x)) for x in p[b, :, r, c])
        assert float(found[b, r, c]) == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(lambda x: entropy(x.softmax(1)), logits().requires_grad_())


def test_entropy_at_the_ends() -> None:
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).requires_grad_()
    found = entropy(p)
    torch.testing.assert_close(found, torch.tensor([0.0, math.log(2)]))
    found.sum().backward()
    assert p.grad is not None
    assert torch.isfinite(p.grad).all()
