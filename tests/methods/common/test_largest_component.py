"""The largest component of each class, against a flood fill."""

import itertools

import pytest
import torch
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX
from semiseg.methods.common.largest_component import largest_component


def flooded(image: Tensor, code: int) -> list[set[tuple[int, ...]]]:
    """The components of a class, by a search over neighbours that share at least a corner."""
    left = {tuple(place) for place in (image == code).nonzero().tolist()}
    steps = list(itertools.product((-1, 0, 1), repeat=image.ndim))
    components = []
    while left:
        front = [min(left)]
        left.remove(front[0])
        component = set(front)
        while front:
            place = front.pop()
            for step in steps:
                near = tuple(a + b for a, b in zip(place, step, strict=True))
                if near in left:
                    left.remove(near)
                    component.add(near)
                    front.append(near)
        components.append(component)
    return components


@pytest.mark.parametrize("shape", [(3, 12, 13), (2, 5, 6, 7)])
def test_against_a_flood_fill(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 9, shape, generator=generator).clamp(max=4) % 4
    labels[torch.rand(shape, generator=generator) < 0.1] = IGNORE_INDEX
    given = labels.clone()
    found = largest_component(labels)
    assert found.dtype == torch.int64
    assert torch.equal(labels, given)
    removed = 0
    for image, kept in zip(labels, found, strict=True):
        expected = image.where(image == IGNORE_INDEX, 0)
        for code in (1, 2, 3):
            components = flooded(image, code)
            removed += len(components) - 1
            for place in max(components, key=len):
                expected[place] = code
        assert torch.equal(kept, expected)
    assert removed > 5


def test_corners_hold_together_and_empty_images_stay_empty() -> None:
    labels = torch.zeros(2, 4, 4, dtype=torch.int64)
    labels[0].fill_diagonal_(1)
    assert torch.equal(largest_component(labels), labels)
    assert largest_component(labels[:0]).shape == (0, 4, 4)
