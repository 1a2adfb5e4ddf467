"""Checks of every network: shapes of maps, sizes that fit, error messages."""

import pytest
import torch
from torch import nn

from semiseg import networks
from semiseg.errors import UserError
from semiseg.networks.backbone import Backbone, NetworkConfig
from semiseg.networks.batformer import BATFormerConfig
from semiseg.networks.encoder_unet import EncoderUNetConfig
from semiseg.networks.nnformer import NNFormerConfig
from semiseg.networks.projector import SharedProjector
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.stages import plan_stages
from semiseg.networks.swin_unet import DropPath, SwinBlock, SwinConfig, SwinUnet, default_window
from semiseg.networks.unet import UNet, UNetConfig, upsample
from semiseg.networks.vnet import VNet, VNetConfig

UNET = UNetConfig(channels=(4, 6, 8, 10, 12))
SWIN = SwinConfig(embed_dim=8, head_dim=4)
BATFORMER = BATFormerConfig(channels=(4, 6, 8, 10, 12), heads=(2, 2), head_dim=(4, 4))
NNFORMER = NNFormerConfig(embed_dim=8, head_dim=4)
ENCODER = EncoderUNetConfig(encoder="resnet18", pretrained="none", channels=(8, 8, 6, 4, 4))
SLICES: dict[str, NetworkConfig] = {
    "unet": UNET, "swin": SWIN, "batformer": BATFORMER, "encoder-unet": ENCODER
}  # fmt: skip
FLAT = (1.0, 1.0)
CUBE, STACK = (1.0, 1.0, 1.0), (5.0, 1.0, 1.0)


def build(name: str, channels: int, size: int) -> Segmenter:
    config = SLICES[name]
    backbone = networks.entry(name).load().create(channels, config, (size, size), (1.0, 1.0))
    return Segmenter(backbone, 3, config)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [32, 64, 96, 128])
@pytest.mark.parametrize("name", list(SLICES))
def test_features_are_as_announced(name: str, size: int, channels: int) -> None:
    if (name, size) == ("encoder-unet", 32):
        size = 160  # it needs 64 pixels
    network = build(name, channels, size).eval()
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
    assert swin.encoder.channels == 3
    drops = [m.p for m in unet.encoder.modules() if isinstance(m, nn.Dropout)]
    assert drops == [0.05, 0.1, 0.2, 0.3, 0.5]
    assert not any(m.p for m in unet.decoder.modules() if isinstance(m, nn.Dropout))


def test_drop_path_grows_with_depth_in_encoder_and_decoder() -> None:
    swin = SwinUnet(1, 32, SWIN)
    down = [m.rate for m in swin.encoder.layers.modules() if isinstance(m, DropPath)]
    up = [m.rate for m in swin.decoder.layers_up.modules() if isinstance(m, DropPath)]
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
    with pytest.raises(UserError, match=r"side of 100 pixels .* 96 or 112"):
        UNet.check_sides(UNET, (100, 100), FLAT)
    with pytest.raises(UserError, match=r"side of 100 pixels .* 96 or 128"):
        SwinUnet(1, 100, SWIN)
    with pytest.raises(UserError, match=r"swin\.window 5 .* swin\.window=7"):
        SwinUnet(1, 224, SwinConfig(embed_dim=8, head_dim=4, window=5))
    with pytest.raises(UserError, match=r"swin\.embed_dim 10 .* swin\.head_dim 4"):
        SwinUnet(1, 32, SwinConfig(embed_dim=10, head_dim=4))
    for size in (96, 112):
        UNet.check_sides(UNET, (size, size), FLAT)
    for size in (96, 128):
        SwinUnet(1, size, SWIN)


def test_the_projectors_share_their_last_layer_only() -> None:
    projector = SharedProjector({"unet": 3, "swin": 5}, hidden=7, width=4)
    pixels = torch.rand(2, 6, 3)
    out = projector(pixels, "unet")
    assert out.shape == (2, 6, 4)
    first = projector.first["unet"]
    assert isinstance(first, nn.Linear)
    shared = projector.shared
    for place in ((0, 0), (1, 5)):
        hidden = (first.weight @ pixels[place] + first.bias).clamp(min=0)
        torch.testing.assert_close(out[place], shared.weight @ hidden + shared.bias)
    out.sum().backward()
    owners = {name: p.grad is not None for name, p in projector.named_parameters()}
    assert owners == {
        "first.unet.weight": True, "first.unet.bias": True, "first.swin.weight": False,
        "first.swin.bias": False, "shared.weight": True, "shared.bias": True,
    }  # fmt: skip


def deep(name: str, norm: str) -> NetworkConfig:
    """Four stages in 3D."""
    own = {"dropout": (0.1,) * 4} if name == "unet" else {"blocks": (1, 2, 3, 2)}
    content = {"channels": (4, 6, 8, 10), "norm": norm, "head_kernel": 1, **own}
    return networks.entry(name).config().model_validate(content)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(
    ("spacing", "sides", "finest"),
    [
        (CUBE, (8, 16, 24), {4: (2, 4, 6), 2: (4, 8, 12), 1: (8, 16, 24)}),
        # slice spacing five times that of pixels: halved once pixels have side 4
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
    config = deep(name, norm)
    backbone = networks.entry(name).load().create(channels, config, sides, spacing)
    network = Segmenter(backbone, 3, config)
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
    """A single stage with long voxels acts on each slice separately."""
    torch.manual_seed(0)
    far = (9.0, 1.0, 1.0)
    if name == "unet":
        network: Backbone = UNet(1, UNetConfig(channels=(4, 4), dropout=(0, 0)), far)
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
    check, config = networks.entry(name).load().check_sides, deep(name, "instance")
    with pytest.raises(UserError, match=r"data\.patch \[10, 16, 20\] .* \[8, 16, 16\]"):
        check(config, (10, 16, 20), CUBE)
    with pytest.raises(UserError, match=r"more than one voxel .* \[8, 8, 16\]"):
        check(config, (8, 8, 8), CUBE)
    with pytest.raises(UserError, match=r"of 4 stages: .*\[8, 8, 8\].* such as \[8, 24, 16\]"):
        check(config, (3, 25, 20), CUBE)
    check(deep(name, "batch"), (4, 8, 8), STACK)
    with pytest.raises(UserError, match=r"imagenet is for colour .* volumes"):
        UNet(3, UNetConfig(standardise="imagenet"), CUBE)


def test_a_residual_stage_adds_its_input() -> None:
    torch.manual_seed(0)
    network = VNet(1, VNetConfig(channels=(4, 4), blocks=(1, 1)), CUBE).eval()
    first = network.encoder.blocks[0]
    x = torch.rand(2, 1, 4, 4, 4)
    with torch.no_grad():
        for parameter in first.body.parameters():  # type: ignore[union-attr]
            parameter.zero_()
        out = first(x, x)
    torch.testing.assert_close(out, x.expand(-1, 4, -1, -1, -1))


def test_the_fields_decoder_interpolates() -> None:
    """The number of parameters of SSL4MIS, and of a version with transposed convolutions."""
    counts = {}
    for upsampling in ("bilinear", "nearest", "transposed"):
        config = UNetConfig(upsampling=upsampling)
        network = Segmenter(UNet(1, config), 4, config)
        counts[upsampling] = sum(p.numel() for p in network.parameters())
    assert counts == {"bilinear": 1_813_764, "nearest": 1_813_764, "transposed": 1_944_324}


@pytest.mark.parametrize("upsampling", ["bilinear", "nearest", "transposed"])
@pytest.mark.parametrize("spacing", [FLAT, CUBE, STACK])
def test_every_upsampling_reaches_the_skips(spacing: tuple[float, ...], upsampling: str) -> None:
    config = UNetConfig.model_validate(
        {"channels": (4, 6, 8), "dropout": (0, 0, 0), "upsampling": upsampling}
    )
    sides = (8, 16, 16)[-len(spacing) :]
    maps = UNet(1, config, spacing).features(torch.rand(2, 1, *sides))
    assert maps[-1].shape == (2, 4, *sides)


def test_interpolation_keeps_the_corners() -> None:
    expand = upsample(3, 3, (2, 2), "bilinear")
    x = torch.rand(1, 3, 4, 4)
    low, out = expand[0](x), expand(x)  # type: ignore[index]
    torch.testing.assert_close(out[..., ::7, ::7], low[..., ::3, ::3])


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("unet", (32, 32)),
        ("swin", (32, 32)),
        ("vnet", (8, 16, 16)),
        ("batformer", (32, 32)),
        ("encoder-unet", (64, 64)),
        ("nnformer", (32, 32, 32)),
    ],
)
def test_several_decoders_and_heads_share_an_encoder(name: str, sides: tuple[int, ...]) -> None:
    """An auxiliary decoder and a head at another scale work for any network."""
    config: NetworkConfig = (SLICES | {"vnet": deep("vnet", "batch"), "nnformer": NNFORMER})[name]
    spacing = (1.0,) * len(sides)
    backbone = networks.entry(name).load().create(1, config, sides, spacing)
    network = Segmenter(backbone, 3, config)
    other, head = network.new_decoder(), network.new_head(2)
    scale = max(network.out_channels)
    coarse = network.new_head(3, scale=scale, kernel=1)
    maps = network.encode(torch.rand(2, 1, *sides))
    assert [len(m[0]) for m in maps] == list(network.encoder.out_channels)
    assert [sides[-1] // m.shape[-1] for m in maps] == list(network.encoder.reductions)
    main, auxiliary = network.decode(maps), network.decode(maps, other)
    assert main.keys() == auxiliary.keys()
    assert not torch.equal(main[1], auxiliary[1])
    assert head(auxiliary[1]).shape == (2, 2, *sides)
    assert coarse(main[scale]).shape[:2] == (2, 3)
    auxiliary[1].sum().backward()
    assert all(p.grad is not None for n, p in other.named_parameters() if "norm_eighth" not in n)
    assert all(p.grad is None for p in network.decoder.parameters())
    if name == "unet":
        assert isinstance(network.new_decoder(upsampling="bilinear"), type(network.decoder))


def test_a_network_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = networks.Entry("mine", "of a user's package", "semiseg.networks.unet:UNet", (2, 3))
    point = type("Point", (), {"value": "mine:ENTRY", "load": lambda self: mine})()
    monkeypatch.setattr("semiseg.plugins.entry_points", lambda group: [point])
    assert networks.entry("mine").config() is UNetConfig
    with pytest.raises(UserError, match="did you mean 'mine'"):
        networks.entry("mien")


def test_an_entry_point_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: object) -> None:
        raise ImportError("no module named lost")

    point = type("Point", (), {"value": "lost:ENTRY", "load": load})()
    monkeypatch.setattr("semiseg.plugins.entry_points", lambda group: [point])
    with pytest.raises(UserError, match=r"lost:ENTRY of semiseg\.networks .* no module named lost"):
        networks.table()
