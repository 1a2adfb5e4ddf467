"""Masks of CutMix and copy-paste, and mixing against loops."""

import math

import pytest
import torch
from torch import Tensor

from semiseg.methods.common.mixing import (
    box_mask,
    copy_paste_mask,
    cutmix_mask,
    mix,
    mixup,
    mixup_factors,
)

SIDES = [(20, 30), (9, 20, 12)]


def boxes(mask: Tensor) -> list[list[tuple[int, int]]]:
    """Start and length of each image's box along each axis; the box must be filled."""
    found = []
    for image in ~mask:
        places = image.nonzero()
        start, stop = places.amin(0), places.amax(0) + 1
        assert len(places) == int((stop - start).prod())
        found.append([(int(a), int(b - a)) for a, b in zip(start, stop, strict=True)])
    return found


@pytest.mark.parametrize("sides", SIDES)
def test_a_copy_paste_box_is_two_thirds_of_each_side(sides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    mask = copy_paste_mask(400, sides)
    assert mask.shape == (400, *sides)
    assert mask.dtype == torch.bool
    found = boxes(mask)
    for axis, side in enumerate(sides):
        length = int(side * 2 / 3)
        assert {box[axis][1] for box in found} == {length}
        assert {box[axis][0] for box in found} == set(range(side - length + 1))  # all positions


@pytest.mark.parametrize("sides", [(64, 64), (64, 128), (40, 48, 56)])
def test_cutmix_boxes_have_the_areas_and_ratios_asked_for(sides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    found = boxes(cutmix_mask(300, sides, area=(0.1, 0.2), aspect=0.5))
    parts, ratios = [], []
    for box in found:
        shares = [length / side for (_, length), side in zip(box, sides, strict=True)]
        parts.append(math.prod(shares))
        ratios += [share / shares[0] for share in shares[1:]]
    assert 0.08 < min(parts) < 0.11
    assert 0.19 < max(parts) < 0.225
    assert 0.45 < min(ratios) < 0.55
    assert 1.8 < max(ratios) < 2.2
    assert math.fsum(map(math.log, ratios)) / len(ratios) == pytest.approx(0, abs=0.08)


def test_cutmix_boxes_stay_within_the_image_and_are_never_empty() -> None:
    torch.manual_seed(0)
    wide = boxes(cutmix_mask(100, (16, 16), area=(0.9, 1.0), aspect=0.1))
    assert {length for box in wide for _, length in box} >= {16}
    tiny = boxes(cutmix_mask(100, (16, 16), area=(0.0, 0.001)))
    assert {length for box in tiny for _, length in box} == {1}


def test_some_images_have_no_box() -> None:
    torch.manual_seed(0)
    without = cutmix_mask(1000, (8, 8), probability=0.3).flatten(1).all(1)
    assert float(without.float().mean()) == pytest.approx(0.7, abs=0.05)
    assert cutmix_mask(50, (8, 8), probability=0.0).all()


@pytest.mark.parametrize("sides", SIDES)
def test_a_seed_reproduces_the_masks(sides: tuple[int, ...]) -> None:
    for draw in (cutmix_mask, copy_paste_mask):
        torch.manual_seed(4)
        first, second = draw(5, sides), draw(5, sides)
        torch.manual_seed(4)
        assert torch.equal(draw(5, sides), first)
        assert not torch.equal(first, second)
        assert (
            len({tuple(map(tuple, box)) for box in boxes(first)}) > 1
        )  # boxes differ between images


def test_a_box_as_large_as_the_image() -> None:
    assert not box_mask([torch.tensor([4]), torch.tensor([6])], (4, 6)).any()


@pytest.mark.parametrize("sides", SIDES)
def test_images_labels_and_soft_labels_are_mixed_alike(sides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    mask = copy_paste_mask(2, sides)
    codes = torch.arange(2 * math.prod(sides)).reshape(2, *sides)
    a, b = codes, codes + 10_000
    labels = mix(a, b, mask)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in labels.shape))[::7]:
        at = tuple(place.tolist())
        assert labels[at] == (a[at] if mask[at] else b[at])
    images = mix(torch.stack([a, -a], 1).float(), torch.stack([b, -b], 1).float(), mask)
    assert torch.equal(images, torch.stack([labels, -labels], 1).float())


def test_mixup_is_the_printed_formula() -> None:
    torch.manual_seed(0)
    factors = mixup_factors(3, 0.2)
    a, b = torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 5)
    mixed = mixup(a, b, factors)
    for i in range(3):
        weight = float(factors[i])
        torch.testing.assert_close(mixed[i], weight * a[i] + (1 - weight) * b[i])
    p = mixup(a.softmax(1), b.softmax(1), factors)
    torch.testing.assert_close(p.sum(1), torch.ones(3, 4, 5))


def test_factors_are_drawn_from_a_beta() -> None:
    torch.manual_seed(0)
    factors = mixup_factors(5000, 0.2)
    torch.manual_seed(0)
    assert torch.equal(mixup_factors(5000, 0.2), factors)
    assert ((factors >= 0) & (factors <= 1)).all()
    assert float(factors.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(factors.var()) == pytest.approx(0.25 / 1.4, abs=0.01)  # 1/(4 (2 alpha + 1))
