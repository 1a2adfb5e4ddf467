"""Fractions of classes and their loss against plain loops."""

import numpy as np
import pytest
import torch

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.class_fractions import class_fractions, fraction_loss


def drawn(classes: int = 3, side: int = 8) -> torch.Tensor:
    torch.manual_seed(0)
    target = torch.randint(0, classes, (2, side, side))
    target[0, :5, 2:4] = IGNORE_INDEX
    return target


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_fractions_count_the_labelled_pixels_of_a_cell(factor: int) -> None:
    target = drawn()
    fractions, majority = class_fractions(target, 3, factor)
    assert fractions.shape == (2, 3, 8 // factor, 8 // factor)
    for b, y, x in np.ndindex(*majority.shape):
        cell = target[b, y * factor : (y + 1) * factor, x * factor : (x + 1) * factor].flatten()
        labelled = [int(code) for code in cell if code != IGNORE_INDEX]
        counts = [labelled.count(k) for k in range(3)]
        expected = [n / len(labelled) if labelled else 0 for n in counts]
        assert fractions[b, :, y, x].tolist() == pytest.approx(expected)
        first = counts.index(max(counts)) if labelled else IGNORE_INDEX
        assert int(majority[b, y, x]) == first


def test_the_loss_is_that_of_a_loop() -> None:
    target = drawn()
    fractions, majority = class_fractions(target, 3, 2)
    p = torch.randn(2, 3, 4, 4, dtype=torch.float64).softmax(1)
    mask = majority != IGNORE_INDEX
    total, count = 0.0, 0
    for b, y, x in np.ndindex(2, 4, 4):
        if mask[b, y, x]:
            for k in range(3):
                d = abs(float(p[b, k, y, x]) - float(fractions[b, k, y, x]))
                total += 0.5 * d * d if d < 1 else d - 0.5
                count += 1
    assert not mask.all()
    assert float(fraction_loss(p, fractions, mask)) == pytest.approx(total / count, rel=1e-9)


def test_gradients() -> None:
    fractions, majority = class_fractions(drawn(), 3, 2)
    logits = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: fraction_loss(x.softmax(1), fractions, majority != IGNORE_INDEX), (logits,)
    )


def test_extreme_inputs_and_cells_without_labels() -> None:
    nothing = torch.full((1, 4, 4), IGNORE_INDEX)
    fractions, majority = class_fractions(nothing, 3, 2)
    assert (majority == IGNORE_INDEX).all()
    p = (1e4 * torch.randn(1, 3, 2, 2)).softmax(1).requires_grad_()
    loss = fraction_loss(p, fractions, majority != IGNORE_INDEX)
    loss.backward()
    assert loss.item() == 0
    assert p.grad is not None
    assert not p.grad.any()
    half = fraction_loss(p.bfloat16(), fractions)
    assert half.dtype == torch.float32
    assert torch.isfinite(half)
