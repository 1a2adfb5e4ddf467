"""Gradients in bf16 on a CPU agree with single precision, for every network that trains slices so."""

import pytest
import torch
from torch import Tensor, nn

from semiseg import networks
from semiseg.config import DataConfig, RunConfig
from semiseg.data.task import Intensity, Task
from semiseg.networks import boundary_windows
from semiseg.networks.build import build_network
from semiseg.networks.mixed_precision import keep_layer_norm_single
from semiseg.networks.segmenter import Segmenter

FLAT = [name for name, entry in networks.table().items() if 2 in entry.dimensions]
TASK = Task(
    name="x", kind="pictures", channels=1, classes=("background", "a", "b", "c"),
    intensity=Intensity(kind="minmax"), median_shape=(1, 64, 64),
)  # fmt: skip
OPTIONS = {"unet": {"dropout": (0, 0, 0, 0, 0)}, "swin": {"embed_dim": 32}}
SIZES = (32, 96, 160)  # 32: a U-Net's coarsest maps have 2 x 2 pixels


def gradients(network: nn.Module, images: Tensor, precision: str) -> dict[str, Tensor]:
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = network(images)
    torch.nn.functional.cross_entropy(logits.float(), (images[:, 0] > 0).long()).backward()
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


def network_of(name: str, size: int) -> Segmenter:
    """A network without batch norm's noise and dropout."""
    torch.manual_seed(0)
    config = RunConfig(
        method="supervised", data=DataConfig(size=size), networks={name: OPTIONS.get(name, {})}
    )
    return build_network(TASK, config, name).eval()


def same_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let BATFormer choose the same windows in both precisions: the choice is not continuous."""
    choose = boundary_windows.choose_windows
    known: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def once(uncertainty: Tensor, *more: object) -> tuple[Tensor, Tensor]:
        key = tuple(uncertainty.shape)
        if key not in known:
            known[key] = choose(uncertainty, *more)  # type: ignore[arg-type]
        return known[key]

    monkeypatch.setattr(boundary_windows, "choose_windows", once)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FLAT)
def test_gradients_of_slices(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    same_windows(monkeypatch)
    count = 4 if size == 32 else 1
    if (name, size) == ("encoder-unet", 32):
        size = 64  # its coarsest maps then have 2 x 2 pixels
    network = network_of(name, size)
    images = torch.randn(count, 1, size, size)
    single, mixed = (gradients(network, images, p) for p in ("single", "bf16"))
    assert single.keys() == mixed.keys()
    total = float(torch.cat([g.flatten() for g in single.values()]).norm())
    for key, value in single.items():
        error = float((mixed[key] - value).norm())
        assert error < 0.1 * float(value.norm()) + 2e-4 * total, key
    again = gradients(network, images, "bf16")
    assert all(torch.equal(again[key], value) for key, value in mixed.items())


@pytest.mark.parametrize("tokens", [1024, 16384])
def test_layer_norm_of_many_tokens(tokens: int) -> None:
    """torch alone loses most of the shift's gradient; a later version may not."""
    torch.manual_seed(0)
    images, weight = torch.randn(2, tokens, 16), 1e-3 + 1e-3 * torch.randn(2, tokens, 16)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        norm = nn.LayerNorm(16)
        keep_layer_norm_single(norm)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            out = norm(images.to(dtype))
        (out.float() * weight).sum().backward()
        assert norm.weight.grad is not None
        assert norm.bias.grad is not None
        found.append((norm.weight.grad, norm.bias.grad))
    for single, mixed in zip(*found, strict=True):
        assert float((mixed - single).norm()) < 0.01 * float(single.norm())
