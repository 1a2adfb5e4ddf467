"""What every network owes: maps as announced, sizes that fit, messages that help."""

import pytest
import torch
from torch import nn

from semiseg.config import SwinConfig, UNetConfig, VNetConfig
from semiseg.errors import UserError
from semiseg.networks.projector import SharedProjector
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.stages import plan_stages
from semiseg.networks.swin_unet import DropPath, SwinBlock, SwinUnet, default_window
from semiseg.networks.unet import UNet
from semiseg.networks.vnet import VNet

UNET = UNetConfig(channels=(4, 6, 8, 10, 12))
SWIN = SwinConfig(embed_dim=8, head_dim=4)
CUBE, STACK = (1.0, 1.0, 1.0), (5.0, 1.0, 1.0)


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


def build_deep(name: str, channels: int, spacing: tuple[float, ...], norm: str) -> nn.Module:
    """Four stages in 3D."""
    if name == "unet":
        config = {"channels": (4, 6, 8, 10), "dropout": (0.1,) * 4, "norm": norm}
        return UNet(channels, UNetConfig.model_validate(config), spacing)
    config = {"channels": (4, 6, 8, 10), "blocks": (1, 2, 3, 2), "norm": norm}
    return VNet(channels, VNetConfig.model_validate(config), spacing)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(
    ("spacing", "sides", "finest"),
    [
        (CUBE, (8, 16, 24), {4: (2, 4, 6), 2: (4, 8, 12), 1: (8, 16, 24)}),
        # slices five times as far apart as pixels: halved once, where pixels have grown to 4
        (STACK, (6, 16, 24), {4: (6, 4, 6), 2: (6, 8, 12), 1: (6, 16, 24)}),
    ],
)
@pytest.mark.parametrize("name", ["unet", "vnet"])
def test_features_of_volumes_are_as_announced(
    name: str,
    spacing: tuple[float, ...],
    sides: tuple[int, int, int],
    finest: dict[int, tuple[int, ...]],
    norm: str,
    channels: int,
) -> None:
    backbone = build_deep(name, channels, spacing, norm)
    backbone.check_size(sides)
    network = Segmenter(backbone, classes=3, kernel=1)
    images = torch.rand(2, channels, *sides)
    features = network.features(images)
    logits = network.classify(features)
    assert {reduction: x.shape[2:] for reduction, x in features.items()} == finest
    assert list(features) == sorted(features, reverse=True)
    for reduction, tensor in features.items():
        assert tensor.shape[:2] == (2, network.out_channels[reduction])
    assert logits.shape == (2, 3, *sides)
    logits.square().mean().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


def test_long_voxels_wait_for_the_others() -> None:
    stages = plan_stages(5, STACK)
    assert [stage.stride for stage in stages] == [
        (1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)
    ]  # fmt: skip
    assert [stage.kernel[0] for stage in stages] == [1, 1, 3, 3, 3]
    assert all(stage.kernel[1:] == (3, 3) for stage in stages)
    assert {stage.stride for stage in plan_stages(4, CUBE)[1:]} == {(2, 2, 2)}
    flat = plan_stages(3, (1.0, 1.0))
    assert [stage.stride for stage in flat] == [(1, 1), (2, 2), (2, 2)]


@pytest.mark.parametrize("name", ["unet", "vnet"])
def test_slices_do_not_see_each_other_before_their_kernels_do(name: str) -> None:
    """One stage of long voxels: a network of slices, in 3D."""
    torch.manual_seed(0)
    far = (9.0, 1.0, 1.0)
    if name == "unet":
        network: nn.Module = UNet(1, UNetConfig(channels=(4, 4), dropout=(0, 0)), far)
    else:
        network = VNet(1, VNetConfig(channels=(4, 4), blocks=(1, 1)), far)
    network.eval()
    images = torch.rand(1, 1, 3, 8, 8)
    changed = images.clone()
    changed[:, :, 1] += 1
    with torch.no_grad():
        one, other = (network.features(x)[-1] for x in (images, changed))
    differs = (one - other).abs().amax((0, 1, 3, 4)) > 1e-6
    assert differs.tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["unet", "vnet"])
def test_patches_that_do_not_fit_are_refused_with_one_that_does(name: str) -> None:
    network = build_deep(name, 1, CUBE, "instance")
    with pytest.raises(UserError, match=r"data\.patch \[10, 16, 20\] .* \[8, 16, 16\]"):
        network.check_size((10, 16, 20))
    with pytest.raises(UserError, match=r"more than one voxel .* \[8, 8, 16\]"):
        network.check_size((8, 8, 8))
    with pytest.raises(UserError, match=r"of 4 stages: .*\[8, 8, 8\].* such as \[8, 24, 16\]"):
        network.check_size((3, 25, 20))
    build_deep(name, 1, STACK, "batch").check_size((4, 8, 8))
    with pytest.raises(UserError, match=r"imagenet is for colour .* volumes"):
        UNet(3, UNetConfig(standardise="imagenet"), CUBE)


def test_a_residual_level_adds_its_input() -> None:
    torch.manual_seed(0)
    network = VNet(1, VNetConfig(channels=(4, 4), blocks=(1, 1)), CUBE).eval()
    first = network.encoder[0]
    x = torch.rand(2, 1, 4, 4, 4)
    with torch.no_grad():
        for parameter in first.body.parameters():  # type: ignore[union-attr]
            parameter.zero_()
        out = first(x, x)
    torch.testing.assert_close(out, x.expand(-1, 4, -1, -1, -1))
