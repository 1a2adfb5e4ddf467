"""Gradients in bf16 on a CPU agree with single precision, for every network that trains slices so."""

import pytest
import torch
from torch import Tensor

from semiseg import networks
from semiseg.config import DataConfig, RunConfig
from semiseg.data.task import Intensity, Task
from semiseg.networks.build import build_network
from semiseg.networks.segmenter import Segmenter

FLAT = [name for name, entry in networks.table().items() if 2 in entry.dimensions]
TASK = Task(
    name="x", kind="pictures", channels=1, classes=("background", "a"),
    intensity=Intensity(kind="minmax"), median_shape=(1, 64, 64),
)  # fmt: skip
THIN = {"unet": {"channels": (8, 8, 8, 8, 8), "dropout": (0, 0, 0, 0, 0)},
        "swin": {"embed_dim": 8, "head_dim": 4},
        "batformer": {"channels": (8, 8, 8, 8, 8), "heads": (2, 2), "head_dim": (8, 8)}}  # fmt: skip


def gradients(network: Segmenter, images: Tensor, precision: str) -> dict[str, Tensor]:
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = network(images)
    torch.nn.functional.cross_entropy(logits.float(), (images[:, 0] > 0).long()).backward()
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("size", [32, 64, 96])  # 32: a U-Net's coarsest maps have 2 x 2 pixels
@pytest.mark.parametrize("name", FLAT)
def test_gradients_of_slices(name: str, size: int) -> None:
    torch.manual_seed(0)
    config = RunConfig(
        method="supervised", data=DataConfig(size=size), networks={name: THIN.get(name, {})}
    )
    network = build_network(TASK, config, name).eval()  # without batch norm's noise and dropout
    images = torch.randn(4, 1, size, size)
    single, mixed = (gradients(network, images, p) for p in ("single", "bf16"))
    assert single.keys() == mixed.keys()
    total = torch.cat([g.flatten() for g in single.values()]).norm()
    for key, value in single.items():
        error = (mixed[key] - value).norm()
        assert float(error) < 0.3 * float(value.norm()) + 0.03 * float(total), key
    again = gradients(network, images, "bf16")
    assert all(torch.equal(again[key], value) for key, value in mixed.items())
