"""Targets of classes that an image does not contain or that fill it, and the error to them."""

import numpy as np
import pytest
import torch

from semiseg.data.batch import Batch
from semiseg.data.distance_maps import stacked_maps
from semiseg.data.task import IGNORE_INDEX
from semiseg.methods.common.distance_head import AbsentClasses, distance_error, mark_absent


def test_absent_classes_are_outside_and_full_ones_inside() -> None:
    labels = torch.zeros(3, 6, 5, dtype=torch.long)
    labels[0, 2:4, 1:4] = 1  # class 2 is absent
    labels[1] = 2  # class 1 is absent, and class 2 fills the image
    labels[2, 0] = IGNORE_INDEX
    maps = stacked_maps(labels, 3, [None] * 3)
    found = mark_absent(maps, labels)
    assert torch.equal(found[0, 0], maps[0, 0])
    assert (found[0, 1] == 1).all()
    assert (found[1, 0] == 1).all()
    assert (found[1, 1] == -1).all()
    assert (found[2] == 1).all()
    assert (maps[0, 1] == 0).all()  # the argument is unchanged


def test_volumes() -> None:
    labels = torch.zeros(1, 4, 6, 5, dtype=torch.long)
    labels[0, 1:3, 2:4, 1:4] = 1
    maps = stacked_maps(labels, 4, [(2.0, 1.0, 1.0)])
    found = mark_absent(maps, labels)
    assert torch.equal(found[0, 0], maps[0, 0])
    assert (found[0, 1:] == 1).all()


@pytest.mark.parametrize(("absent", "value"), [("outside", 1.0), ("boundary", 0.0)])
def test_the_error_is_that_of_known_pixels(absent: AbsentClasses, value: float) -> None:
    labels = torch.zeros(2, 6, 5, dtype=torch.long)
    labels[0, 2:4, 1:4] = 1
    labels[1, 1:3, 1:4] = 2
    labels[0, 0] = IGNORE_INDEX
    maps = stacked_maps(labels, 3, [None] * 2)
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(2, 2, 6, 5, generator=generator, dtype=torch.float64)
    errors = []
    for b, k, row, column in np.ndindex(2, 2, 6, 5):
        if labels[b, row, column] != IGNORE_INDEX:
            target = maps[b, k, row, column].item() if k == b else value  # image b has class b + 1
            errors.append((found[b, k, row, column].item() - target) ** 2)
    error = distance_error(found, Batch(torch.zeros(3, 1, 6, 5), labels, maps), absent)
    assert error.item() == pytest.approx(np.mean(errors), rel=1e-6)


def test_a_batch_without_maps_is_an_error() -> None:
    batch = Batch(torch.zeros(1, 1, 6, 5), torch.zeros(1, 6, 5, dtype=torch.long))
    with pytest.raises(ValueError, match="no distance maps"):
        distance_error(torch.zeros(1, 2, 6, 5), batch, "outside")
