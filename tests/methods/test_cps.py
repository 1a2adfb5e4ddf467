"""``cps``: the conformance checks, its cross loss against a loop, CutMix."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Step
from semiseg.methods.common.mixing import mix
from semiseg.methods.cps import boxes_mask
from semiseg.testing import MethodConformance

TERMS = {"supervised_unet", "supervised_unet-2", "cross_unet", "cross_unet-2"}
LATE = Step(99, 100)


class TestCPSOnVolumes(MethodConformance):
    name = "cps"
    dimensions = 3
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.65715, 5: 1.51142, 10: 1.41454, 19: 1.46205}


class TestCPSWithCutMix(MethodConformance):
    name = "cps"
    settings = ("cps.cutmix=true",)
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.60604, 5: 1.15596, 10: 0.99016, 19: 0.98161}

    def test_labels_are_mixed_as_images_are(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        method = self.build(small_data, self.config(small_data, self.dropout(0.0)))
        mask = boxes_mask(2, self.shape)
        monkeypatch.setattr("semiseg.methods.cps.boxes_mask", lambda *_: mask)
        images = self.batch().images[2:]
        mixed, labels = method.mixed(images, with_labels=True)
        assert torch.equal(mixed, mix(images, images.flip(0), mask))
        with torch.no_grad():
            for name, found in labels.items():
                alone = method.logits(images, name).argmax(1)
                assert torch.equal(found, mix(alone, alone.flip(0), mask))

    def test_one_unlabelled_image_is_mixed_with_itself(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        images = self.batch().images[2:3]
        assert torch.equal(method.mixed(images, with_labels=True)[0], images)

    def test_a_weight_of_0_needs_no_labels(self, small_data: PreparedData) -> None:
        """The networks still see mixed images, in one pass each."""
        method = self.build(small_data, self.config(small_data, "cps.consistency_from=0.5"))
        seen: list[Tensor] = []
        for name in method.network_names:
            encoder = getattr(method, name).encoder
            encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        early = method(self.batch(), Step(49, 100))
        assert set(early) == TERMS
        assert early["cross_unet"].item() == early["cross_unet-2"].item() == 0
        assert len(seen) == 2
        assert not any(torch.equal(x, self.batch().images) for x in seen)
        assert method(self.batch(), Step(50, 100))["cross_unet"].item() > 0
        assert len(seen) == 6


class TestCPS(MethodConformance):
    name = "cps"
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.61929, 5: 1.16939, 10: 1.00651, 19: 0.99162}

    @pytest.mark.parametrize("on_labelled", [False, True])
    def test_the_cross_loss_is_the_papers(
        self, small_data: PreparedData, on_labelled: bool
    ) -> None:
        """The mean over pixels of -ln of the class that the other network chooses."""
        config = self.config(small_data, f"cps.on_labelled={str(on_labelled).lower()}")
        method = self.build(small_data, config).eval()
        batch = self.batch()
        terms = method(batch, Step(30, 100))
        first = 0 if on_labelled else 2
        weight = 0.1 * math.exp(-5 * (1 - 0.3) ** 2)
        for name, teacher in (("unet", "unet-2"), ("unet-2", "unet")):
            with torch.no_grad():
                own = method.logits(batch.images[first:], name).double().softmax(1).numpy()
                other = method.logits(batch.images[first:], teacher).numpy()
            losses = [
                -math.log(own[b, int(np.argmax(other[b, :, i, j])), i, j])
                for b, i, j in np.ndindex(len(own), *self.shape)
            ]
            expected = weight * sum(losses) / len(losses)
            assert terms[f"cross_{name}"].item() == pytest.approx(expected, rel=1e-4)

    def test_the_networks_start_from_other_weights(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        one, other = (getattr(method, name).state_dict() for name in method.network_names)
        assert method.network_names == ("unet", "unet-2")
        assert one.keys() == other.keys()
        assert not torch.equal(one["head.weight"], other["head.weight"])

    def test_a_teacher_gets_no_gradient_from_its_pupil(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        for learns, teaches in (("unet", "unet-2"), ("unet-2", "unet")):
            method.zero_grad()
            method(self.batch(), LATE)[f"cross_{learns}"].backward()
            assert all(p.grad is not None for p in getattr(method, learns).parameters())
            assert all(p.grad is None for p in getattr(method, teaches).parameters())

    def test_the_cross_loss_can_start_late(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data, "cps.consistency_from=0.5"))
        assert method.active_from(100) == {"cross": 50}
        assert method(self.batch(), Step(49, 100))["cross_unet"].item() == 0
        assert method(self.batch(), Step(50, 100))["cross_unet"].item() > 0

    def test_without_unlabelled_images(self, small_data: PreparedData) -> None:
        batch = Batch(self.batch().images[:2], self.batch().labels)
        known = {"true": TERMS, "false": {"supervised_unet", "supervised_unet-2"}}
        for value, terms in known.items():
            config = self.config(small_data, f"cps.on_labelled={value}")
            assert set(self.build(small_data, config)(batch, LATE)) == terms


@pytest.mark.parametrize("sides", [(64, 64), (16, 32, 32)])
def test_boxes_cover_a_quarter_to_a_half_less_their_overlaps(sides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    inside = (~boxes_mask(200, sides)).float().flatten(1).mean(1)
    assert inside.max() < 0.55
    assert 0.2 < inside.mean() < 0.4
    assert len(inside.unique()) > 100
