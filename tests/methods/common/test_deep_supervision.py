"""Deep supervision: weights, coarse labels, and heads on the maps that a decoder has."""

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg import methods
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError
from semiseg.losses.dice import supervised_loss
from semiseg.losses.ignore import one_hot
from semiseg.losses.pseudo_label import soft_label_loss
from semiseg.methods.base import Method
from semiseg.methods.common.deep_supervision import DeepSupervision, deep_loss, reduced
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config


def nearest(label: np.ndarray, sides: tuple[int, ...]) -> np.ndarray:
    """The pixel at the centre of each coarse pixel, one by one."""
    out = np.empty(sides, label.dtype)
    for place in np.ndindex(*sides):
        source = tuple(
            int((p + 0.5) * n / s) for p, n, s in zip(place, label.shape, sides, strict=True)
        )
        out[place] = label[source]
    return out


@pytest.mark.parametrize("sides", [(4, 5), (3, 4, 5)])
def test_the_loss_is_its_formula(sides: tuple[int, ...]) -> None:
    """(l_0 + l_1 / 2 + l_2 / 4) / 1.75, with labels of the nearest pixels."""
    generator = torch.Generator().manual_seed(0)
    sizes = [tuple(4 * s for s in sides), tuple(2 * s for s in sides), sides]
    outputs = [torch.randn(2, 3, *size, generator=generator, dtype=torch.float64) for size in sizes]
    label = torch.randint(0, 3, (2, *sizes[0]), generator=generator)
    label[0, :3] = IGNORE_INDEX
    coarse = [
        torch.from_numpy(np.stack([nearest(one.numpy(), size) for one in label])) for size in sizes
    ]
    losses = [supervised_loss(y, t).item() for y, t in zip(outputs, coarse, strict=True)]
    expected = (losses[0] + losses[1] / 2 + losses[2] / 4) / 1.75
    assert deep_loss(outputs, label, supervised_loss).item() == pytest.approx(expected, rel=1e-9)
    assert deep_loss(outputs[:1], label, supervised_loss).item() == losses[0]
    soft = one_hot(label, 3, torch.float64)
    found = deep_loss(outputs, soft, soft_label_loss).item()
    assert found == pytest.approx(expected, rel=1e-6)
    for size, known in zip(sizes, coarse, strict=True):
        assert torch.equal(reduced(label, size), known)


@pytest.mark.parametrize("method", ["supervised", "self-training"])
def test_heads_are_those_of_the_coarser_maps(small_data: PreparedData, method: str) -> None:
    def build(count: int) -> Method:
        given = [*small_settings(method), f"{method}.deep_supervision={count}"]
        config = resolve_config(small_data.manifest, method, None, given).config
        torch.manual_seed(0)
        return methods.entry(method).load()(small_data.task, config)

    deep = build(3).deep
    assert isinstance(deep, DeepSupervision)
    features: dict[int, Tensor] = {2**i: torch.randn(2, 8, 32 >> i, 32 >> i) for i in range(5)}
    assert [tuple(y.shape) for y in deep(features)] == [
        (2, 3, 16, 16), (2, 3, 8, 8), (2, 3, 4, 4),
    ]  # fmt: skip
    plain, with_heads = build(0).state_dict(), build(2).state_dict()
    assert not [name for name in plain if "deep" in name]
    assert all(torch.equal(with_heads[name], value) for name, value in plain.items())
    with pytest.raises(UserError, match=rf"{method}\.deep_supervision=9: .* use at most [34]\."):
        build(9)
