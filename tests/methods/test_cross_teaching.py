"""``cross-teaching``: the conformance checks, and equation 1 with its weight."""

import copy
import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from semiseg import methods
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.losses.dice import dice_loss, supervised_loss
from semiseg.methods.base import Method, Step
from semiseg.methods.common.ramp_up import sigmoid_rampup
from semiseg.testing import MethodConformance
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config


class TestCrossTeachingOnVolumes(MethodConformance):
    name = "cross-teaching"
    dimensions = 3
    terms: ClassVar[set[str]] = {
        "supervised_unet", "supervised_vnet", "cross_unet", "cross_vnet",
    }  # fmt: skip
    golden: ClassVar[dict[int, float]] = {0: 1.93348, 5: 1.4874, 10: 1.35756, 19: 1.33521}


class TestCrossTeaching(MethodConformance):
    name = "cross-teaching"
    terms: ClassVar[set[str]] = {
        "supervised_unet", "supervised_swin", "cross_unet", "cross_swin"
    }  # fmt: skip
    golden: ClassVar[dict[int, float]] = {0: 1.59167, 5: 1.29677, 10: 1.16335, 19: 1.11778}

    def logits(self, method: Method, images: Tensor) -> tuple[Tensor, Tensor]:
        return method.logits(images, "unet"), method.logits(images, "swin")

    @pytest.mark.parametrize("index", [0, 30, 99])
    def test_the_terms_are_those_of_the_paper(self, small_data: PreparedData, index: int) -> None:
        method = self.build(small_data, self.config(small_data)).eval()
        batch = self.batch()
        cnn, transformer = self.logits(method, batch.images)
        weight = 0.1 * math.exp(-5 * (1 - index / 100) ** 2)
        expected = {
            "supervised_unet": supervised_loss(cnn[:2], batch.labels),
            "supervised_swin": supervised_loss(transformer[:2], batch.labels),
            "cross_unet": weight * dice_loss(cnn[2:].softmax(1), transformer[2:].argmax(1)),
            "cross_swin": weight * dice_loss(transformer[2:].softmax(1), cnn[2:].argmax(1)),
        }
        terms = method(batch, Step(index, 100))
        assert set(terms) == set(expected)
        for name, value in expected.items():
            torch.testing.assert_close(terms[name], value)

    def test_a_teacher_gets_no_gradient_from_its_pupil(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        for learns, teaches in (("unet", "swin"), ("swin", "unet")):
            method.zero_grad()
            method(self.batch(), Step(99, 100))[f"cross_{learns}"].backward()
            assert any(p.grad is not None for p in getattr(method, learns).parameters())
            assert all(p.grad is None for p in getattr(method, teaches).parameters())

    def test_consistency_from_holds_the_cross_terms_back(self, small_data: PreparedData) -> None:
        config = self.config(small_data, "cross-teaching.consistency_from=0.5")
        method = self.build(small_data, config)
        assert method.active_from(100) == {"cross": 50}
        assert method(self.batch(), Step(49, 100))["cross_unet"].item() == 0
        assert method(self.batch(), Step(50, 100))["cross_unet"].item() > 0

    def test_the_transformer_learns_at_its_own_rate(self, small_data: PreparedData) -> None:
        config = self.config(small_data, "swin.learning_rate_scale=0.2", "swin.warmup=0.05")
        groups = {g.name: g for g in self.build(small_data, config).parameter_groups()}
        assert (groups["unet"].lr_scale, groups["unet"].warmup) == (1.0, 0.0)
        assert (groups["swin"].lr_scale, groups["swin"].warmup) == (0.2, 0.05)


@pytest.mark.parametrize("name", ["cross-teaching", "mcsc"])
@pytest.mark.parametrize(
    ("pair", "names"),
    [
        ("[unet, unet]", ("unet", "unet-2")),
        ("[swin, unet]", ("swin", "unet")),
        ("[swin, swin]", ("swin", "swin-2")),
    ],
)
def test_any_two_networks_are_a_pair(
    small_data: PreparedData, name: str, pair: str, names: tuple[str, str]
) -> None:
    settings = (*small_settings(name), f"{name}.networks={pair}")
    config = resolve_config(small_data.manifest, name, None, settings, {}).config
    torch.manual_seed(0)
    method = methods.entry(name).load()(small_data.task, config)
    assert method.network_names == names
    assert set(config.networks) == {n.removesuffix("-2") for n in names}
    images = torch.rand(4, 1, 32, 32)
    batch = Batch(images, torch.randint(0, 3, (2, 32, 32)))
    terms = method(batch, Step(99, 100))
    assert {f"cross_{n}" for n in names} <= set(terms)
    torch.stack(list(terms.values())).sum().backward()
    grouped = [p for g in method.parameter_groups() for p in g.parameters]
    assert all(p.grad is not None for p in grouped)
    assert {id(p) for p in grouped} == {id(p) for p in method.parameters() if p.requires_grad}
    first, second = (method.logits(images, n) for n in names)
    assert not torch.equal(first, second)  # they start from weights of their own


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("[unet, vnet]", "vnet does not support slices: use unet or .*swin"),
        ("[unet, swim]", "'swim': did you mean 'swin'"),
        ("[unet]", "cross-teaching.networks"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(small_data: PreparedData, pair: str, words: str) -> None:
    settings = (*small_settings("cross-teaching"), f"cross-teaching.networks={pair}")

    def build() -> Method:
        config = resolve_config(small_data.manifest, "cross-teaching", None, settings, {}).config
        return methods.entry("cross-teaching").load()(small_data.task, config)

    with pytest.raises(UserError, match=words):
        build()


@pytest.mark.parametrize("name", ["cross-teaching", "mcsc"])
def test_batch_norm_apart_and_together(small_data: PreparedData, name: str) -> None:
    """Apart, labelled images are normalised as if there were no others, and alone reach the averages."""
    batch = Batch(torch.rand(4, 1, 32, 32), torch.randint(0, 3, (2, 32, 32)))
    quiet = ("unet.dropout=[0, 0, 0, 0, 0]", "swin.drop_path=0")
    found = {}
    for how in ("apart", "together"):
        settings = (*small_settings(name), *quiet, f"training.batch_norm={how}")
        config = resolve_config(small_data.manifest, name, None, settings, {}).config
        torch.manual_seed(0)
        method = methods.entry(name).load()(small_data.task, config).train()
        plain = copy.deepcopy(method)
        terms = method(batch, Step(99, 100))
        alone = supervised_loss(plain.network(batch.images[:2]), batch.labels)
        same = [
            torch.allclose(a, b)
            for a, b in zip(method.network.buffers(), plain.network.buffers(), strict=True)
        ]
        found[how] = (torch.allclose(terms["supervised_unet"], alone), all(same))
    assert found == {"apart": (True, True), "together": (False, False)}


def test_the_ramp_up() -> None:
    assert sigmoid_rampup(0) == pytest.approx(math.exp(-5))
    assert sigmoid_rampup(0.5) == pytest.approx(math.exp(-1.25))
    assert sigmoid_rampup(1) == sigmoid_rampup(2) == 1
