"""BATFormer: windows at uncertain places, sizes that fit, and what reaches the output."""

import numpy as np
import pytest
import torch
from torch import nn

from semiseg.errors import UserError
from semiseg.networks.batformer import BATFormer, BATFormerConfig, Positions
from semiseg.networks.boundary_windows import (
    WindowedAttention,
    attend,
    choose_windows,
    edge_strength,
    entropy,
)

SMALL = BATFormerConfig(
    channels=(4, 6, 8, 10, 12), heads=(2, 2), head_dim=(4, 4), window=4, transformer_dropout=0
)
FLAT = (1.0, 1.0)


def greedy(
    uncertainty: np.ndarray, side: tuple[int, int], most: int, overlap: float
) -> list[tuple[int, int]]:
    """Non-maximum suppression of one map as a plain loop."""
    height, width = side
    places = [
        (uncertainty[y : y + height, x : x + width].mean(), y, x)
        for y in range(uncertainty.shape[0] - height + 1)
        for x in range(uncertainty.shape[1] - width + 1)
    ]
    chosen: list[tuple[int, int]] = []
    for _, y, x in sorted(places, reverse=True):
        inter = [max(height - abs(y - b), 0) * max(width - abs(x - a), 0) for b, a in chosen]
        if all(i / (2 * height * width - i) <= overlap for i in inter):
            chosen.append((y, x))
    return chosen[:most]


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.6])
@pytest.mark.parametrize(("side", "most"), [((3, 3), 4), ((2, 4), 30), ((9, 7), 3)])
def test_windows_are_those_of_a_loop(side: tuple[int, int], most: int, overlap: float) -> None:
    torch.manual_seed(0)
    uncertainty = torch.rand(2, 9, 7, dtype=torch.float64)
    corners, found = choose_windows(uncertainty, side, most, overlap)
    assert corners.shape == (2, most, 2)
    for image in range(2):
        expected = greedy(uncertainty[image].numpy(), side, most, overlap)
        count = int(found[image].sum())
        assert found[image, :count].all()
        assert [tuple(c) for c in corners[image, :count].tolist()] == expected


def test_windows_lie_on_the_boundary() -> None:
    """A disc: the entropy of a blurred prediction is high on its rim."""
    y, x = np.indices((32, 32))
    p = torch.tensor(1 / (1 + np.exp(np.hypot(y - 16, x - 16) - 9)))[None, None]
    uncertainty = entropy(torch.cat([p, 1 - p], 1))
    corners, found = choose_windows(uncertainty, (4, 4), 8, 0.2)
    assert found.all()
    centres = corners[0].double() + 1.5
    assert ((centres - 16).norm(dim=1) - 9).abs().max() < 2


def test_attention_within_windows_is_that_of_a_loop() -> None:
    torch.manual_seed(0)
    layer = WindowedAttention(6, 2, 3, window=4, fraction=2.0, most=50, overlap=0.2, dropout=0)
    x, uncertainty = torch.randn(2, 10, 8, 6), torch.rand(2, 5, 4)
    out = layer(x, uncertainty)
    corners, found = choose_windows(uncertainty, (2, 2), 8, 0.2)
    assert not found.all()
    for image in range(2):
        total, times = torch.zeros(10, 8, 6), torch.zeros(10, 8, 1)
        for (row, column), valid in zip(2 * corners[image], found[image], strict=True):
            if valid:
                part = (slice(row, row + 4), slice(column, column + 4))
                tokens = x[image][part].reshape(1, 16, 6)
                got = layer.proj(attend(*layer.qkv(tokens).chunk(3, -1), heads=2))
                total[part] += got.reshape(4, 4, 6)
                times[part] += 1
        torch.testing.assert_close(out[image], total / times.clamp(min=1))
        assert (times == 0).any()
        assert not out[image][times[..., 0] == 0].any()


def test_attention_has_heads() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, n, 6, dtype=torch.float64) for n in (3, 5, 5))
    out = attend(q, k, v, 2)
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        for i in range(3):
            scores = torch.stack([(q[0, i, part] * key[part]).sum() / 3**0.5 for key in k[0]])
            expected = (scores.softmax(0)[:, None] * v[0, :, part]).sum(0)
            torch.testing.assert_close(out[0, i, part], expected)


def test_edges_of_features() -> None:
    x = torch.zeros(1, 2, 4, 4)
    x[:, 0, :, 2:] = 3
    x[:, 1, 2:] = 4
    found = edge_strength(x)[0]
    assert found[1, 1] == 5
    assert found[0, 1] == 3
    assert found[1, 0] == 4
    assert found[3, 3] == found[0, 0] == 0


def test_a_guide_moves_the_windows() -> None:
    torch.manual_seed(0)
    network = BATFormer.create(1, SMALL, (64, 64), FLAT).eval()
    x = torch.rand(1, 1, 64, 64)
    guide = nn.Conv2d(network.decoder.width, 3, 1)
    with torch.no_grad():
        without = network.features(x)
        network.decoder.guide = guide
        guided = network.features(x)
        torch.testing.assert_close(
            network.decoder.uncertainty(guided[1]), entropy(guide(guided[1]).softmax(1))
        )
    torch.testing.assert_close(without[1], guided[1])
    assert not torch.equal(without[2], guided[2])
    assert any(name.startswith("decoder.guide") for name in network.state_dict())


def test_fine_tokens_see_the_whole_image_and_the_last_map_holds_all() -> None:
    torch.manual_seed(0)
    network = BATFormer.create(1, SMALL, (64, 64), FLAT).eval()
    x = torch.rand(1, 1, 64, 64)
    other = x.clone()
    other[..., :4, :4] += 1
    with torch.no_grad():
        one, two = network.features(x), network.features(other)
    assert ((one[1] - two[1]).abs().amax(1) > 0).all()
    width = network.decoder.width
    quarter = one[3][:, 2 * width :, ::4, ::4]
    torch.testing.assert_close(quarter, one[1])


def test_another_size_of_the_same_network() -> None:
    network = BATFormer.create(1, SMALL, (32, 32), FLAT).eval()
    for sides in ((16, 16), (48, 80), (64, 64)):
        assert network.features(torch.rand(1, 1, *sides))[-1].shape[2:] == sides


def test_positions_of_coarse_tokens_are_means() -> None:
    positions = Positions(2, (4, 6))
    with torch.no_grad():
        found = positions((2, 3))[0]
        table = positions.table[0]
    expected = table[:, 2:4, 4:6].mean((1, 2))
    torch.testing.assert_close(found[1, 2], expected)


def test_the_widths_are_a_quarter_of_a_unets() -> None:
    network = BATFormer.create(1, BATFormerConfig(), (32, 32), FLAT)
    assert network.encoder.out_channels == (16, 32, 64, 128, 128)
    assert network.out_channels == (64, 64, 64, 192)
    assert network.decoder.cross_scale.width == 64
    assert network.decoder.boundary.width == 32


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"side of 100 pixels .* multiple of 16, such as 96 or 112"):
        BATFormer.create(1, SMALL, (100, 100), FLAT)
    BATFormer.check_sides(SMALL, (112, 112), FLAT)
