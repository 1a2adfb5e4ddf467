"""Every method works on a U-Net with the encoder of a classifier."""

from pathlib import Path
from typing import Any

import pytest
import torch

from semiseg import methods
from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Step, optimised_groups
from semiseg.testing.case import MethodCase
from semiseg.testing.data import write_slices

ENCODER = "encoder-unet"
SMALL = (f"{ENCODER}.pretrained=none", f"{ENCODER}.channels=[16,16,8,8,8]")


def options_of(name: str) -> dict[str, Any]:
    return methods.entry(name).load().Options.model_fields


ABLE = [
    name
    for name, entry in methods.table().items()
    if 2 in entry.dimensions and {"network", "networks"} & set(options_of(name))
]


def case_of(name: str, size: int) -> MethodCase:
    case = MethodCase()
    case.name, case.size = name, size  # type: ignore[misc]
    return case


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    folder: Path = tmp_path_factory.mktemp("data")
    return write_slices(folder / "set")


def test_only_fully_supervised_networks_have_no_choice() -> None:
    flat = {name for name, entry in methods.table().items() if 2 in entry.dimensions}
    assert flat - set(ABLE) == {"batformer"}


@pytest.mark.parametrize("name", ABLE)
def test_a_method_trains_on_it(data: PreparedData, name: str) -> None:
    case = case_of(name, 128 if name == "plgcl" else 64)
    chosen = (
        f"{name}.network={ENCODER}"
        if "network" in options_of(name)
        else f"{name}.networks=[{ENCODER},swin]"
    )
    config = case.config(data, chosen, *SMALL)
    method = case.build(data, config)
    terms = method(case.batch(), Step(99, 100))
    assert all(torch.isfinite(term) for term in terms.values())
    groups = optimised_groups(method)
    held = [id(p) for group in groups for p in group.parameters]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in method.parameters() if p.requires_grad}
    slow = {id(p) for group in groups if group.name.endswith("_encoder") for p in group.parameters}
    trained = getattr(method, "student", method.network)
    encoder = [p for p in trained.encoder.parameters() if p.requires_grad]
    assert encoder
    assert {id(p) for p in encoder} <= slow


def test_the_encoder_has_a_rate_of_its_own(data: PreparedData) -> None:
    case = case_of("plgcl", 128)
    settings = (f"plgcl.network={ENCODER}", f"{ENCODER}.learning_rate_scale=0.5", *SMALL)
    method = case.build(data, case.config(data, *settings, "plgcl.weight=0"))
    rates = {group.name: group.lr_scale for group in optimised_groups(method)}
    assert rates == {"encoder_encoder": pytest.approx(0.15), "decoder": 0.5}
    plain = case.build(data, case.config(data, "plgcl.weight=0"))
    assert optimised_groups(plain)[0].name == "encoder"
