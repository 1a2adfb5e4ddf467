"""What every network owes: maps as announced, sizes that fit, messages that help."""

import pytest
import torch
from torch import nn

from semiseg.config import SwinConfig, UNetConfig
from semiseg.errors import UserError
from semiseg.networks.projector import SharedProjector
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.swin_unet import DropPath, SwinBlock, SwinUnet, default_window
from semiseg.networks.unet import UNet

UNET = UNetConfig(channels=(4, 6, 8, 10, 12))
SWIN = SwinConfig(embed_dim=8, head_dim=4)


def build(name: str, channels: int, size: int) -> nn.Module:
    return UNet(channels, UNET) if name == "unet" else SwinUnet(channels, size, SWIN)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [32, 64, 96, 128])
@pytest.mark.parametrize("name", ["unet", "swin"])
def test_features_are_as_announced(name: str, size: int, channels: int) -> None:
    network = Segmenter(build(name, channels, size), classes=3).eval()
    images = torch.rand(2, channels, size, size)
    with torch.no_grad():
        features = network.features(images)
        logits = network(images)
    assert {1, 4, 8} <= set(features)
    assert list(features) == sorted(features, reverse=True)
    for reduction, tensor in features.items():
        side = size // reduction
        assert tensor.shape == (2, network.out_channels[reduction], side, side)
        assert torch.isfinite(tensor).all()
    assert logits.shape == (2, 3, size, size)
    torch.testing.assert_close(logits, network.classify(features))


def test_the_default_widths_are_those_of_the_field() -> None:
    unet = UNet(1, UNetConfig())
    assert dict(zip(unet.reductions, unet.out_channels, strict=True)) == {
        1: 16,
        2: 32,
        4: 64,
        8: 128,
    }
    swin = SwinUnet(1, 224, SwinConfig())
    assert dict(zip(swin.reductions, swin.out_channels, strict=True)) == {8: 192, 4: 96, 1: 96}
    assert swin.channels == 3
    drops = [m.p for m in unet.encoder.modules() if isinstance(m, nn.Dropout)]
    assert drops == [0.05, 0.1, 0.2, 0.3, 0.5]
    assert not any(m.p for m in unet.decoder.modules() if isinstance(m, nn.Dropout))


def test_drop_path_grows_with_depth_in_encoder_and_decoder() -> None:
    swin = SwinUnet(1, 32, SWIN)
    down = [m.rate for m in swin.layers.modules() if isinstance(m, DropPath)]
    up = [m.rate for m in swin.layers_up.modules() if isinstance(m, DropPath)]
    assert down == pytest.approx([0.2 * i / 7 for i in range(8)])
    assert up == pytest.approx([0.2 * i / 7 for i in (4, 5, 2, 3, 0, 1)])


def test_drop_path_keeps_the_mean_and_drops_whole_samples() -> None:
    torch.manual_seed(0)
    layer = DropPath(0.25)
    out = layer(torch.ones(4000, 2, 2))
    kept = out.flatten(1)
    assert (kept == kept[:, :1]).all()
    assert kept[:, 0].unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(out.mean()) == pytest.approx(1, abs=0.05)
    assert (layer.eval()(torch.ones(5, 1)) == 1).all()


@pytest.mark.parametrize(
    ("size", "window"),
    [(224, 7), (256, 8), (128, 8), (96, 6), (32, 8), (64, 8), (160, 5), (192, 6)],
)
def test_windows_of_the_sizes(size: int, window: int) -> None:
    assert default_window(size) == window
    blocks = [m for m in SwinUnet(1, size, SWIN).modules() if isinstance(m, SwinBlock)]
    sides = [size // 4 // 2**i for i in (0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 1, 1, 0, 0)]
    assert [b.window for b in blocks] == [min(window, side) for side in sides]
    expected = [window // 2 if i % 2 and side > window else 0 for i, side in enumerate(sides)]
    assert [b.shift for b in blocks] == expected


def test_messages_name_sizes_that_fit() -> None:
    with pytest.raises(UserError, match=r"data\.size 100 .* 96 or 112"):
        UNet(1, UNET).check_size(100)
    with pytest.raises(UserError, match=r"data\.size 100 .* 96 or 128"):
        SwinUnet(1, 100, SWIN)
    with pytest.raises(UserError, match=r"swin\.window 5 .* swin\.window=7"):
        SwinUnet(1, 224, SwinConfig(embed_dim=8, head_dim=4, window=5))
    with pytest.raises(UserError, match=r"swin\.embed_dim 10 .* swin\.head_dim 4"):
        SwinUnet(1, 32, SwinConfig(embed_dim=10, head_dim=4))
    for size in (96, 112):
        UNet(1, UNET).check_size(size)
    for size in (96, 128):
        SwinUnet(1, size, SWIN)


def test_the_projectors_share_their_last_layer_only() -> None:
    projector = SharedProjector({"cnn": 3, "transformer": 5}, hidden=7, width=4)
    pixels = torch.rand(2, 6, 3)
    out = projector(pixels, "cnn")
    assert out.shape == (2, 6, 4)
    first = projector.first["cnn"]
    assert isinstance(first, nn.Linear)
    shared = projector.shared
    for place in ((0, 0), (1, 5)):
        hidden = (first.weight @ pixels[place] + first.bias).clamp(min=0)
        torch.testing.assert_close(out[place], shared.weight @ hidden + shared.bias)
    out.sum().backward()
    owners = {name: p.grad is not None for name, p in projector.named_parameters()}
    assert owners == {
        "first.cnn.weight": True, "first.cnn.bias": True, "first.transformer.weight": False,
        "first.transformer.bias": False, "shared.weight": True, "shared.bias": True,
    }  # fmt: skip
