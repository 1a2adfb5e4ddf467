"""Soft Dice and the supervised loss against loops over the printed formula."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from semiseg.losses.dice import dice_loss, supervised_loss


def looped_dice(p: Tensor, target: Tensor, s: float = 1e-5) -> float:
    total = 0.0
    batch, classes, height, width = p.shape
    for k in range(classes):
        overlap = squares = count = 0.0
        for b in range(batch):
            for r in range(height):
                for c in range(width):
                    value, t = float(p[b, k, r, c]), float(target[b, r, c] == k)
                    overlap, squares, count = overlap + value * t, squares + value**2, count + t
        total += 1 - (2 * overlap + s) / (squares + count + s)
    return total / classes


def case(classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(2, classes, 3, 4, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, 3, (2, 3, 4), generator=generator)  # the last class is absent


def test_dice_is_the_printed_formula() -> None:
    logits, target = case()
    p = logits.softmax(1)
    assert float(dice_loss(p, target)) == pytest.approx(looped_dice(p, target), rel=1e-12)
    smooth = float(dice_loss(p, target, smooth=0.5))
    assert smooth == pytest.approx(looped_dice(p, target, 0.5), rel=1e-12)


def test_supervised_is_half_cross_entropy_and_half_dice() -> None:
    logits, target = case()
    p = logits.softmax(1)
    cross_entropy = 0.0
    for b in range(2):
        for r in range(3):
            for c in range(4):
                cross_entropy -= math.log(float(p[b, int(target[b, r, c]), r, c])) / target.numel()
    expected = 0.5 * (cross_entropy + looped_dice(p, target))
    assert float(supervised_loss(logits, target)) == pytest.approx(expected, rel=1e-12)


def test_gradcheck() -> None:
    logits, target = case()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: dice_loss(x.softmax(1), target), logits)
    assert torch.autograd.gradcheck(lambda x: supervised_loss(x, target), logits)


def test_a_volume_is_a_batch_of_its_slices() -> None:
    logits, target = case()
    volume = logits.movedim(0, 1)[None]  # [1, K, D, H, W]
    torch.testing.assert_close(
        supervised_loss(volume, target[None]), supervised_loss(logits, target)
    )


def test_perfect_and_opposite_predictions() -> None:
    target = torch.tensor([[[0, 1], [1, 0]]])
    perfect = torch.nn.functional.one_hot(target, 2).movedim(-1, 1).double()
    assert float(dice_loss(perfect, target)) == pytest.approx(0, abs=1e-12)
    assert float(dice_loss(1 - perfect, target)) == pytest.approx(1, abs=1e-5)
    absent = torch.zeros_like(target)
    only = torch.nn.functional.one_hot(absent, 2).movedim(-1, 1).double()
    assert float(dice_loss(only, absent)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_logits_stay_finite(dtype: torch.dtype, scale: float) -> None:
    logits, target = case()
    x = (logits.clamp(-1, 1) * scale).to(dtype).requires_grad_()
    loss = supervised_loss(x, target)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_voxels_count_as_pixels_do() -> None:
    """Five-dimensional input against loops over every voxel."""
    generator = torch.Generator().manual_seed(4)
    logits = 3 * torch.randn(2, 3, 2, 3, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 3, (2, 2, 3, 4), generator=generator)
    p, total, cross_entropy = logits.softmax(1), 0.0, 0.0
    for k in range(3):
        overlap = squares = count = 0.0
        for b, z, y, x in itertools.product(range(2), range(2), range(3), range(4)):
            value, t = float(p[b, k, z, y, x]), float(target[b, z, y, x] == k)
            overlap, squares, count = overlap + value * t, squares + value**2, count + t
            cross_entropy -= t * math.log(value) / target.numel()
        total += 1 - (2 * overlap + 1e-5) / (squares + count + 1e-5)
    assert float(dice_loss(p, target)) == pytest.approx(total / 3, rel=1e-12)
    expected = 0.5 * (cross_entropy + total / 3)
    assert float(supervised_loss(logits, target)) == pytest.approx(expected, rel=1e-12)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: supervised_loss(x, target), logits)
