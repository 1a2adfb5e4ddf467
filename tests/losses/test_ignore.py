"""Ignored pixels: the printed formulas over the other pixels, and no gradient in ignored ones."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.balanced_contrast import Variant, balanced_contrast
from semiseg.losses.dice import dice_loss, supervised_loss
from semiseg.losses.ignore import cross_entropy, one_hot


def case() -> tuple[Tensor, Tensor, Tensor]:
    """Logits [2, 4, 3, 4] in double precision, codes 0 to 2, and the same with a third ignored."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(2, 4, 3, 4, generator=generator, dtype=torch.float64)
    whole = torch.randint(0, 3, (2, 3, 4), generator=generator)
    hidden = torch.rand(2, 3, 4, generator=generator) < 0.35
    assert hidden[0].any()
    assert hidden[1].any()
    assert not hidden.all()
    return logits, whole, whole.masked_fill(hidden, IGNORE_INDEX)


def labelled_pixels(target: Tensor) -> list[tuple[int, int, int]]:
    return [
        (b, r, c)
        for b in range(target.shape[0])
        for r in range(target.shape[1])
        for c in range(target.shape[2])
        if int(target[b, r, c]) != IGNORE_INDEX
    ]


def looped_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    p, pixels = logits.softmax(1), labelled_pixels(target)
    total = logits.new_zeros(())
    for b, r, c in pixels:
        total = total - p[b, int(target[b, r, c]), r, c].log()
    return total / len(pixels)


def looped_dice(p: Tensor, target: Tensor, s: float = 1e-5) -> Tensor:
    losses = []
    for k in range(p.shape[1]):
        overlap, size = p.new_zeros(()), 0.0
        for b, r, c in labelled_pixels(target):
            t = float(target[b, r, c] == k)
            overlap = overlap + p[b, k, r, c] * t
            size = size + p[b, k, r, c] ** 2 + t
        losses.append(1 - (2 * overlap + s) / (size + s))
    return torch.stack(losses).mean()


PAIRS: list[tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = [
    (cross_entropy, looped_cross_entropy),
    (lambda x, y: dice_loss(x.softmax(1), y), lambda x, y: looped_dice(x.softmax(1), y)),
    (
        supervised_loss,
        lambda x, y: 0.5 * (looped_cross_entropy(x, y) + looped_dice(x.softmax(1), y)),
    ),
]


@pytest.mark.parametrize(("ours", "looped"), PAIRS, ids=["cross entropy", "Dice", "supervised"])
def test_value_and_gradient_are_those_of_the_pixels_that_are_not_ignored(
    ours: Callable[[Tensor, Tensor], Tensor], looped: Callable[[Tensor, Tensor], Tensor]
) -> None:
    logits, whole, target = case()
    gradients = []
    for loss, labels in ((ours, target), (looped, target), (ours, whole)):
        x = logits.clone().requires_grad_()
        value = loss(x, labels)
        (gradient,) = torch.autograd.grad(value, x)
        gradients.append((value.item(), gradient))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-12)
    torch.testing.assert_close(gradients[0][1], gradients[1][1])
    hidden = (target == IGNORE_INDEX)[:, None].expand_as(logits)
    assert not gradients[0][1][hidden].any()
    assert gradients[2][1][hidden].any()  # they have a gradient if they are not ignored
    assert torch.autograd.gradcheck(lambda x: ours(x, target), logits.requires_grad_())


@pytest.mark.parametrize(("ours", "looped"), PAIRS, ids=["cross entropy", "Dice", "supervised"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_everything_ignored_is_zero_with_zero_gradient(
    ours: Callable[[Tensor, Tensor], Tensor],
    looped: Callable[[Tensor, Tensor], Tensor],
    scale: float,
) -> None:
    logits, whole, _ = case()
    x = (scale * logits).float().requires_grad_()
    loss = ours(x, torch.full_like(whole, IGNORE_INDEX))
    loss.backward()
    assert loss.item() == 0
    assert x.grad is not None
    assert not x.grad.any()


def test_the_first_class_is_not_taken_for_the_background() -> None:
    target = torch.tensor([[[0, 1, IGNORE_INDEX]]])
    assert one_hot(target, 2)[0, :, 0].tolist() == [[1, 0, 0], [0, 1, 0]]


def test_perfect_where_not_ignored_is_perfect() -> None:
    _, whole, target = case()
    perfect = torch.nn.functional.one_hot(whole, 4).movedim(-1, 1).double()
    wrong = torch.where((target == IGNORE_INDEX)[:, None], 1 - perfect, perfect)
    assert float(dice_loss(wrong, target)) == pytest.approx(0, abs=1e-12)
    assert float(cross_entropy(wrong * 1e3, target)) == pytest.approx(0, abs=1e-12)
    assert math.isfinite(float(cross_entropy(wrong * 1e3, whole)))


@pytest.mark.parametrize("variant", [Variant(), Variant(balanced=False), Variant(True, False)])
def test_contrast_takes_what_is_ignored_for_padding(variant: Variant) -> None:
    generator = torch.Generator().manual_seed(5)
    embeddings = torch.randn(3, 9, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (3, 9), generator=generator)
    padding = torch.rand(3, 9, generator=generator) < 0.2
    hidden = torch.rand(3, 9, generator=generator) < 0.3
    hidden[2] = True
    results = []
    for codes, mask in (
        (labels.masked_fill(hidden, IGNORE_INDEX), None),
        (labels, ~hidden),
        (labels.masked_fill(hidden, IGNORE_INDEX), ~padding),
        (labels, ~hidden & ~padding),
    ):
        x = embeddings.clone().requires_grad_()
        value = balanced_contrast(x, codes, 3, 0.3, mask, variant)
        value.backward()
        assert x.grad is not None
        assert not x.grad[hidden].any()
        results.append((value.detach(), x.grad))
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(results[2], results[3])


@pytest.mark.parametrize("ours", [pair[0] for pair in PAIRS], ids=["cross entropy", "Dice", "both"])
def test_volumes_are_masked_as_pictures_are(ours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """[B, K, D, H, W] is the sum over the same pixels as [B, K, D * H, W]."""
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, 3, 4, 5, 6, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 3, (2, 4, 5, 6), generator=generator)
    target[:, 1:3, 2:] = IGNORE_INDEX
    deep, flat = logits.clone().requires_grad_(), logits.flatten(2, 3).requires_grad_()
    values = ours(deep, target), ours(flat, target.flatten(1, 2))
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-12)
    (gradient,), (other,) = (
        torch.autograd.grad(values[0], deep),
        torch.autograd.grad(values[1], flat),
    )
    torch.testing.assert_close(gradient.flatten(2, 3), other)
    hidden = (target == IGNORE_INDEX)[:, None].expand_as(gradient)
    assert not gradient[hidden].any()
    assert gradient[~hidden].any()
