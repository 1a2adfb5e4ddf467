"""Targets of classes that an image does not contain or that fill it."""

import torch

from semiseg.data.distance_maps import stacked_maps
from semiseg.data.task import IGNORE_INDEX
from semiseg.methods.common.distance_head import mark_absent


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
