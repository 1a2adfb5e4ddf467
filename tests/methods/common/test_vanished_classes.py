"""Pseudo-labels that lose a class."""

import torch

from semiseg.data.task import IGNORE_INDEX
from semiseg.methods.common.vanished_classes import VanishedClasses


def labels(*counts: int, ignored: int = 0) -> torch.Tensor:
    """[1, pixels] with so many pixels of each class."""
    codes = [code for code, count in enumerate(counts) for _ in range(count)]
    return torch.tensor([codes + [IGNORE_INDEX] * ignored])


def test_shares_are_those_of_the_pixels_with_a_class() -> None:
    watched = VanishedClasses(3, momentum=0.0)
    watched.update(labels(6, 3, 1, ignored=10), labels(16, 4, 0))
    assert torch.allclose(watched.labelled, torch.tensor([0.6, 0.3, 0.1]))
    assert torch.allclose(watched.predicted, torch.tensor([0.8, 0.2, 0.0]))


def test_a_class_vanishes_and_returns() -> None:
    watched = VanishedClasses(3, lowest=0.1, momentum=0.5)
    watched.update(labels(80, 10, 10), labels(80, 10, 10))
    assert watched.vanished().tolist() == [False, False, False]
    for _ in range(5):
        watched.update(labels(80, 10, 10), labels(90, 10, 0))
    assert watched.vanished().tolist() == [False, False, True]
    assert watched.usable() == 1
    watched.update(labels(80, 10, 10), labels(80, 10, 10))
    assert not watched.vanished().any()
    assert watched.steps == 7
    assert watched.vanished_steps.tolist() == [
        0,
        0,
        3,
    ]  # the ratios were 1/3, 1/7, 1/15, 1/31, 1/63


def test_nothing_is_usable_if_every_class_has_vanished() -> None:
    watched = VanishedClasses(3, momentum=0.0)
    watched.update(labels(8, 1, 1), labels(10, 0, 0))
    assert watched.usable() == 0
    watched.update(labels(8, 1, 1), labels(9, 1, 0))
    assert watched.usable() == 1
    # a class that no label has does not count
    watched.update(labels(8, 0, 2), labels(8, 2, 0))
    assert watched.usable() == 0


def test_the_likeliest_pixels_of_a_vanished_class_are_ignored() -> None:
    watched = VanishedClasses(2, momentum=0.0)
    watched.update(labels(8, 2), labels(10, 0))  # a fifth of the pixels, so two fifths are ignored
    one = torch.tensor([[0.1, 0.4, 0.2, 0.3, 0.0], [0.05, 0.45, 0.01, 0.02, 0.35]])
    probabilities = torch.stack([1 - one, one], 1)
    pseudo = probabilities.argmax(1)
    out = watched.ignore(pseudo, probabilities)
    expected = torch.zeros(2, 5, dtype=torch.int64)
    for place in ((0, 1), (0, 3), (1, 1), (1, 4)):  # 0.4, 0.3, 0.45, 0.35
        expected[place] = IGNORE_INDEX
    assert torch.equal(out, expected)
    assert not pseudo.any()  # the argument is unchanged
    watched.update(labels(8, 2), labels(8, 2))
    assert torch.equal(watched.ignore(pseudo, probabilities), pseudo)
