"""Dice with pseudo-labels against a loop over the printed formula."""

import itertools

import pytest
import torch
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.pseudo_label import pseudo_label_dice


def case(shape: tuple[int, ...] = (2, 3, 4, 5)) -> tuple[Tensor, Tensor]:
    """Logits in double precision, and a pseudo-label without the last class and with gaps."""
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    places = (shape[0], *shape[2:])
    label = torch.randint(0, shape[1] - 1, places, generator=generator)
    label[torch.rand(places, generator=generator) < 0.4] = IGNORE_INDEX
    return logits, label


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 4, 2, 3, 4)])
def test_the_printed_formula(shape: tuple[int, ...]) -> None:
    logits, label = case(shape)
    p, s, total = logits.softmax(1), 1e-5, 0.0
    for k in range(shape[1]):
        overlap = squares = count = 0.0
        for b, *place in itertools.product(*map(range, (shape[0], *shape[2:]))):
            target = int(label[(b, *place)])
            m, t, value = (
                float(target != IGNORE_INDEX), float(target == k), float(p[(b, k, *place)]),
            )  # fmt: skip
            overlap, squares, count = (
                overlap + m * value * t, squares + m * value**2, count + m * t**2,
            )  # fmt: skip
        total += 1 - (2 * overlap + s) / (squares + count + s)
    found = pseudo_label_dice(logits, label)
    assert float(found) == pytest.approx(total / shape[1], rel=1e-12)


def test_gradcheck_and_pixels_outside_the_mask() -> None:
    logits, label = case()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pseudo_label_dice(x, label), logits)
    (gradient,) = torch.autograd.grad(pseudo_label_dice(logits, label), logits)
    outside = (label == IGNORE_INDEX)[:, None].expand_as(logits)
    assert not gradient[outside].any()
    assert gradient[~outside].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_logits_and_empty_masks_are_finite(dtype: torch.dtype, scale: float) -> None:
    logits, label = case()
    for target in (label, torch.full_like(label, IGNORE_INDEX)):
        x = (logits.clamp(-1, 1) * scale).to(dtype).requires_grad_()
        loss = pseudo_label_dice(x, target)
        loss.backward()
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
    assert loss.item() == 0
