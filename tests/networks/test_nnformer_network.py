"""nnFormer: sizes of maps, windows and their masks against plain loops, what reaches the output."""

import itertools
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from semiseg.errors import UserError
from semiseg.networks.nnformer import NNFormer, NNFormerConfig
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.volume_attention import SkipBlock, VolumeAttention, fit_windows

SMALL = NNFormerConfig(embed_dim=8, head_dim=4)
CUBE, THICK, STACK = (1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (5.0, 1.0, 1.0)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("spacing", "sides", "maps"),
    [
        (CUBE, (32, 32, 48), {16: (2, 2, 3), 8: (4, 4, 6), 4: (8, 8, 12), 1: (32, 32, 48)}),
        (CUBE, (8, 16, 16), {16: (1, 1, 1), 8: (1, 2, 2), 4: (2, 4, 4), 1: (8, 16, 16)}),
        (THICK, (8, 16, 16), {16: (1, 1, 1), 8: (2, 2, 2), 4: (4, 4, 4), 1: (8, 16, 16)}),
        (STACK, (5, 52, 44), {16: (2, 4, 3), 8: (3, 7, 6), 4: (5, 13, 11), 1: (5, 52, 44)}),
    ],
)
def test_features_are_as_announced(
    spacing: tuple[float, ...],
    sides: tuple[int, ...],
    maps: dict[int, tuple[int, ...]],
    channels: int,
) -> None:
    torch.manual_seed(0)
    network = Segmenter(NNFormer.create(channels, SMALL, sides, spacing), 3, SMALL)
    features = network.features(torch.rand(2, channels, *sides))
    logits = network.classify(features)
    assert {reduction: tuple(x.shape[2:]) for reduction, x in features.items()} == maps
    assert list(features) == sorted(features, reverse=True)
    assert all(x.shape[1] == network.out_channels[r] for r, x in features.items())
    assert logits.shape == (2, 3, *sides)
    logits.square().mean().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


def test_the_widths_and_heads_are_the_papers() -> None:
    network = NNFormer.create(1, NNFormerConfig(), (32, 32, 32), CUBE)
    assert network.encoder.out_channels == (96, 192, 384, 768)
    assert network.encoder.reductions == (4, 8, 16, 32)
    heads = [m.heads for m in network.encoder.blocks.modules() if isinstance(m, VolumeAttention)]
    assert heads == [3, 3, 6, 6, 12, 12, 24, 24]


def test_patches_that_do_not_fit_are_refused_with_one_that_does() -> None:
    with pytest.raises(UserError, match=r"\[10, 16, 21\] .* of \[4, 4, 4\], such as \[8, 16, 20\]"):
        NNFormer.check_sides(SMALL, (10, 16, 21), CUBE)
    with pytest.raises(UserError, match=r"of \[1, 4, 4\], such as \[7, 16, 4\]"):
        NNFormer.check_sides(SMALL, (7, 16, 1), STACK)
    NNFormer.check_sides(SMALL, (8, 16, 20), CUBE)
    with pytest.raises(UserError, match=r"nnformer\.embed_dim 10 .* nnformer\.head_dim 4"):
        NNFormer.create(1, NNFormerConfig(embed_dim=10, head_dim=4), (8, 8, 8), CUBE)


def test_windows_cover_a_map_evenly() -> None:
    assert fit_windows((8, 4, 3), 4) == (4, 4, 3)
    assert fit_windows((6, 13, 1), 4) == (3, 4, 1)
    assert fit_windows((12, 5, 7), 12) == (12, 5, 7)


def attention_of_a_loop(
    layer: VolumeAttention, x: torch.Tensor, context: torch.Tensor
) -> torch.Tensor:
    """Each token attends to the tokens of its (shifted) window, one query and one head at a time."""
    sides, width = x.shape[:3], x.shape[-1]
    places = list(itertools.product(*map(range, sides)))

    def window(place: tuple[int, ...]) -> tuple[int, ...]:
        """A shifted axis has one more window: the cyclic shift joins both ends, the mask cuts them."""
        return tuple((p - s) // w for p, s, w in zip(place, layer.shift, layer.window, strict=True))

    q = x if layer.q is None else layer.q(x)
    k, v = layer.kv(context).chunk(2, -1)
    spans = [2 * w - 1 for w in layer.window]
    size = width // layer.heads
    out = torch.zeros_like(x)
    for place in places:
        others = [other for other in places if window(other) == window(place)]
        for head in range(layer.heads):
            part = slice(head * size, (head + 1) * size)
            logits = []
            for other in others:
                a, b, c = (
                    p - o + w - 1 for p, o, w in zip(place, other, layer.window, strict=True)
                )
                bias = layer.bias[(a * spans[1] + b) * spans[2] + c, head]
                logits.append((q[place][part] * k[other][part]).sum() / size**0.5 + bias)
            weights = torch.stack(logits).softmax(0)
            out[place][part] = sum(w * v[o][part] for w, o in zip(weights, others, strict=True))
    return layer.proj(out)  # type: ignore[no-any-return]


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(
    ("sides", "largest"), [((2, 4, 4), 2), ((3, 5, 2), 3), ((1, 7, 3), 4), ((2, 3, 3), 12)]
)
def test_attention_is_that_of_a_loop(
    sides: tuple[int, ...], largest: int, shifted: bool, cross: bool
) -> None:
    torch.manual_seed(0)
    layer = VolumeAttention(4, 2, sides, largest, shifted, cross).double()
    torch.nn.init.normal_(layer.bias)
    x, context = (torch.randn(2, *sides, 4, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        out = layer(x, context if cross else None)
        for image in range(2):
            expected = attention_of_a_loop(layer, x[image], (context if cross else x)[image])
            torch.testing.assert_close(out[image], expected)


def test_a_shift_only_where_there_are_several_windows() -> None:
    assert VolumeAttention(4, 2, (4, 8, 6), 4, shifted=True).shift == (0, 2, 1)
    assert VolumeAttention(4, 2, (4, 4, 4), 4, shifted=True).mask is None


class Names(TorchFunctionMode):
    """Records the names of the functions that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("cross", [False, True])
def test_a_map_is_padded_and_shifted_only_where_that_changes_it(cross: bool) -> None:
    x, maps = torch.randn(1, 4, 4, 8, 4), 2 if cross else 1
    for side, shifted, pads, rolls in (
        (8, False, 0, 0), (8, True, 0, maps + 1), (7, False, maps, 0),
    ):  # fmt: skip
        layer = VolumeAttention(4, 2, (4, 4, side), 4, shifted, cross)
        part = x[:, :, :, :side]
        with Names() as names:
            layer(part, part if cross else None)
        assert (names.found.count("pad"), names.found.count("roll")) == (pads, rolls)


def test_skip_attention_keeps_both_maps() -> None:
    """With attention and perceptron of zeros, the block adds the decoder's map and the skip."""
    block = SkipBlock(4, 2, (2, 2, 2), 4, 0.0)
    with torch.no_grad():
        for layer in (block.attention.proj, block.mlp.fc2):
            layer.weight.zero_()
            layer.bias.zero_()
        x, skip = torch.randn(2, 1, 2, 2, 2, 4)
        torch.testing.assert_close(block(x, skip), x + skip)


def test_the_bottleneck_sees_the_whole_volume() -> None:
    torch.manual_seed(0)
    network = NNFormer.create(1, SMALL, (32, 32, 48), CUBE).eval()
    x = torch.rand(1, 1, 32, 32, 48)
    other = x.clone()
    other[..., :4, :4, :4] += 1
    with torch.no_grad():
        one, two = network.encoder(x), network.encoder(other)
    changed = [((a - b).abs().amax(1) > 1e-9) for a, b in zip(one, two, strict=True)]
    assert not changed[0].all()
    assert changed[-1].all()
