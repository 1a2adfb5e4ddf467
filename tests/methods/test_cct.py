"""``cct``: the conformance checks, its consistency against a loop, who learns from it."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.losses.dice import supervised_loss
from semiseg.methods import cct
from semiseg.methods.base import Step
from semiseg.testing import MethodConformance

TERMS = {"supervised", "consistency"}
LATE = Step(99, 100)


class TestCCTOnVolumes(MethodConformance):
    name = "cct"
    dimensions = 3
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.85185, 5: 0.7485, 10: 0.65639, 19: 0.61331}


class TestCCTWithSupervisedDecoders(MethodConformance):
    name = "cct"
    settings = ("cct.supervise_auxiliary=true",)
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.84047, 5: 0.77374, 10: 0.73732, 19: 0.71419}

    def test_the_supervised_loss_is_the_mean_over_decoders(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data)).eval()
        batch = self.batch()
        maps = method.network.encode(batch.images)
        every = [method.network(batch.images), *method.auxiliary_logits(maps)]
        losses = [supervised_loss(x[:2], batch.labels) for x in every]
        found = method(batch, LATE)["supervised"]
        torch.testing.assert_close(found, sum(losses) / 4)

    def test_apart_labelled_images_do_not_depend_on_others(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither the supervised loss nor a running average, of the auxiliary decoders too."""
        monkeypatch.setattr(cct.CCT, "perturbations", (lambda maps: maps,) * cct.DECODERS)
        config = self.config(small_data, "training.batch_norm=apart", self.dropout(0.0))
        found = []
        for other in (0.0, 100.0):
            method = self.build(small_data, config)
            batch = self.batch()
            batch.images[2:] += other
            supervised = method(batch, LATE)["supervised"]
            found.append({"supervised": supervised, **method.state_dict()})
        one, two = found
        assert all(torch.equal(x, two[name]) for name, x in one.items())

    def test_without_unlabelled_images(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = Batch(self.batch().images[:2], self.batch().labels)
        method(batch, LATE)["supervised"].backward()
        assert all(p.grad is not None for p in method.parameters())


class TestCCT(MethodConformance):
    name = "cct"
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.73758, 5: 0.51338, 10: 0.42892, 19: 0.39488}

    def test_the_consistency_against_a_loop(self, small_data: PreparedData) -> None:
        """The mean over decoders, pixels and classes of squared differences, without perturbation."""
        method = self.build(small_data, self.config(small_data)).eval()
        batch = self.batch()
        found = method(batch, Step(30, 100))["consistency"].item()
        with torch.no_grad():
            maps = method.network.encode(batch.images[2:])
            main = method.network(batch.images[2:]).double().softmax(1).numpy()
            others = [x.double().softmax(1).numpy() for x in method.auxiliary_logits(maps)]
        squares = [(x[at] - main[at]) ** 2 for x in others for at in np.ndindex(*main.shape)]
        weight = 0.1 * math.exp(-5 * 0.7**2)
        assert found == pytest.approx(weight * sum(squares) / len(squares), rel=1e-4)

    def test_each_decoder_sees_its_own_perturbation(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data, "cct.dropout=0.5"))
        maps = [torch.rand(2, 8, side, side) + 1 for side in (32, 16)]
        noisy, attended, channels = (perturb(maps) for perturb in method.perturbations)
        for x, a, b, c in zip(maps, noisy, attended, channels, strict=True):
            assert 0.29 < (a / x - 1).abs().max() <= 0.3 + 1e-5
            assert ((b == 0).all(1) | (b == x).all(1)).all()  # whole positions
            assert ((c == 0).flatten(2).all(2) | (c == 2 * x).flatten(2).all(2)).all()
            assert (b == 0).any()
            assert (c == 0).any()

    def test_there_is_no_perturbation_in_evaluation(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data, self.dropout(0.0)))
        maps = method.network.encode(self.batch().images)
        one, other = method.auxiliary_logits(maps), method.auxiliary_logits(maps)
        assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        method.eval()
        one, other = method.auxiliary_logits(maps), method.auxiliary_logits(maps)
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    def test_the_main_decoder_learns_from_labels_only(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        terms = method(self.batch(), LATE)
        terms["consistency"].backward(retain_graph=True)
        network = method.network
        main = [*network.decoder.parameters(), *network.head.parameters()]
        auxiliary = [*method.auxiliary.decoders.parameters(), *method.auxiliary.heads.parameters()]
        assert all(p.grad is None for p in main)
        assert all(p.grad is not None for p in [*network.encoder.parameters(), *auxiliary])
        method.zero_grad()
        terms["supervised"].backward()
        assert all(p.grad is not None for p in main)
        assert all(p.grad is None for p in auxiliary)

    def test_without_unlabelled_images_the_loss_is_supervised(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = Batch(self.batch().images[:2], self.batch().labels)
        assert set(method(batch, LATE)) == {"supervised"}
