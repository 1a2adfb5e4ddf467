"""The reversed gradient of an adversarial loss."""

import pytest
import torch
from torch import nn

from semiseg.methods.common.gradient_reversal import reverse_gradient


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_forward_keeps_and_backward_turns_round(weight: float) -> None:
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    y = reverse_gradient(x, weight)
    assert torch.equal(x, y)
    (found,) = torch.autograd.grad(y.pow(3).sum(), x)
    torch.testing.assert_close(found, -weight * 3 * x.detach().square())


def test_one_loss_trains_both_sides_against_each_other() -> None:
    torch.manual_seed(0)
    images, truth = torch.randn(8, 4), torch.arange(8) % 2.0
    student, adversary = nn.Linear(4, 3), nn.Linear(3, 1)

    def gradients(reverse: bool) -> list[torch.Tensor]:
        features = student(images)
        logit = adversary(reverse_gradient(features, 0.5) if reverse else features)[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logit, truth)
        return list(torch.autograd.grad(loss, [*student.parameters(), *adversary.parameters()]))

    plain, turned = gradients(False), gradients(True)
    for one, other in zip(plain[:2], turned[:2], strict=True):
        torch.testing.assert_close(other, -0.5 * one)
        assert one.abs().max() > 0
    for one, other in zip(plain[2:], turned[2:], strict=True):
        torch.testing.assert_close(other, one)
