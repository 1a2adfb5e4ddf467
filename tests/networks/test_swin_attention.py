"""Shifted-window attention against a plain reference, and the layers that change the resolution."""

import pytest
import torch
from torch import Tensor

from semiseg.networks.swin_unet import PatchExpanding, PatchMerging, SwinBlock


def reference(block: SwinBlock, x: Tensor) -> Tensor:
    """Attention of one block, token by token, without a roll or a mask.

    The shifted grid cuts the map at s, s + w, ...; what lies before the first cut or after the last
    is a window of its own, smaller than the others.
    """
    side, w, s, heads = x.shape[0], block.window, block.shift, block.attn.heads
    width = x.shape[-1] // heads
    qkv = block.attn.qkv(block.norm1(x)).reshape(side, side, 3, heads, width)
    table = block.attn.relative_position_bias_table
    cell = [-1 if s and r < s else (r - s) // w for r in range(side)]
    mixed = torch.zeros_like(x).reshape(side, side, heads, width)
    for r in range(side):
        for c in range(side):
            group = [
                (i, j)
                for i in range(side)
                for j in range(side)
                if cell[i] == cell[r] and cell[j] == cell[c]
            ]
            for h in range(heads):
                logits = torch.stack(
                    [
                        qkv[r, c, 0, h] @ qkv[i, j, 1, h] / width**0.5
                        + table[(r - i + w - 1) * (2 * w - 1) + c - j + w - 1, h]
                        for i, j in group
                    ]
                )
                weights = logits.softmax(0)
                for weight, (i, j) in zip(weights, group, strict=True):
                    mixed[r, c, h] += weight * qkv[i, j, 2, h]
    x = x + block.attn.proj(mixed.reshape(x.shape))
    out: Tensor = x + block.mlp(block.norm2(x))
    return out


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("side", "window"), [(6, 3), (4, 2), (3, 5)])
def test_a_block_is_the_plain_reference(side: int, window: int, shifted: bool) -> None:
    torch.manual_seed(2)
    block = SwinBlock(8, side, 2, window, shifted, 0.0).double()
    with torch.no_grad():
        block.attn.relative_position_bias_table.normal_()
        block.attn.qkv.weight.normal_(0, 0.5)
        x = torch.randn(2, side, side, 8, dtype=torch.float64)
        expected = torch.stack([reference(block, image) for image in x])
        torch.testing.assert_close(block(x), expected)


def test_the_shift_lets_neighbouring_windows_meet_but_not_opposite_borders() -> None:
    torch.manual_seed(0)
    block = SwinBlock(4, 8, 1, 4, True, 0.0)
    assert block.shift == 2
    x = torch.randn(1, 8, 8, 4, requires_grad=True)

    def reach(row: int, column: int) -> Tensor:
        (gradient,) = torch.autograd.grad(block(x)[0, row, column].sum(), x)
        # the mask's exp(-100) is not quite zero in single precision
        reached: Tensor = gradient[0].abs().sum(-1) > 1e-20
        return reached

    corner = reach(0, 0)
    assert corner[:2, :2].all()
    assert (
        int(corner.sum()) == 4
    )  # nothing from the other three corners, which are adjacent after the roll
    middle = reach(3, 3)
    assert middle[2:6, 2:6].all()  # across the cut of the unshifted windows
    assert int(middle.sum()) == 16
    edge = reach(0, 4)
    assert edge[:2, 2:6].all()
    assert int(edge.sum()) == 8


def test_merging_concatenates_neighbours_in_the_official_order() -> None:
    layer = PatchMerging(2)
    x = torch.randn(1, 4, 6, 2)
    out = layer(x)
    assert out.shape == (1, 2, 3, 4)
    neighbours = torch.cat([x[0, 2, 4], x[0, 3, 4], x[0, 2, 5], x[0, 3, 5]])
    torch.testing.assert_close(out[0, 1, 2], layer.reduction(layer.norm(neighbours)))


@pytest.mark.parametrize("factor", [2, 4])
def test_expanding_is_a_pixel_shuffle(factor: int) -> None:
    layer = PatchExpanding(6, 3, factor)
    x = torch.randn(2, 3, 2, 6)
    out = layer(x)
    assert out.shape == (2, 3 * factor, 2 * factor, 3)
    expanded = layer.expand(x[1, 2, 1]).reshape(factor, factor, 3)
    for i in range(factor):
        for j in range(factor):
            place = out[1, 2 * factor + i, factor + j]
            torch.testing.assert_close(place, layer.norm(expanded[i, j]))
