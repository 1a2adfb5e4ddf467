"""``hce``: the conformance checks, its losses against the formulas, and its auxiliary decoders."""

import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.losses.consistency import softmax_mse
from semiseg.losses.dice import supervised_loss
from semiseg.losses.hce import corrected_mse
from semiseg.methods import hce
from semiseg.methods.base import Step
from semiseg.testing import MethodConformance
from teacher_checks import LateTeacher

TERMS = {"supervised", "supervised_auxiliary", "consistency", "self_guided"}


def erase(x: Tensor) -> Tensor:
    """A perturbation without chance: the whole map is 0."""
    return torch.zeros_like(x)


class TestHCEOnVolumes(MethodConformance):
    name = "hce"
    dimensions = 3
    settings = ("hce.ema_decay=0.9", "hce.levels=2")
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.69035, 5: 1.54737, 10: 1.42693, 19: 1.36214}


class TestHCEWithLearnedWeights(MethodConformance):
    name = "hce"
    settings = ("hce.level_weights=learned", "hce.levels=2")
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.56134, 5: 1.18547, 10: 1.01159, 19: 0.91226}


class TestHCE(LateTeacher, MethodConformance):
    name = "hce"
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.61577, 5: 1.31902, 10: 1.16991, 19: 1.07262}

    def test_the_terms_are_means_over_the_decoders(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Auxiliary decoder k sees the encoder's maps, of which the k-th deepest is perturbed."""
        monkeypatch.setattr(hce, "drop_attended", erase)
        config = self.config(small_data, self.dropout(0.0), "training.batch_norm=together")
        method = self.build(small_data, config)
        assert isinstance(method, hce.HCE)
        batch = self.batch()
        self.steps(method, config, [batch], 5)  # so that the teacher differs from the student
        terms = method(batch, Step(50, 100))
        student = method.student
        with torch.no_grad():
            maps = student.encode(batch.images)
            outputs = [student.head(student.decode(maps)[1])]
            for k, (decoder, head) in enumerate(
                zip(method.auxiliary.decoders, method.auxiliary.heads, strict=True), 1
            ):
                seen = [0 * m if place == len(maps) - k else m for place, m in enumerate(maps)]
                outputs.append(head(decoder(seen)[-1]))
            method.teacher.train()
            target = method.logits(batch.images[2:], "teacher").softmax(1)
        assert len(outputs) == 4
        p = [x[2:].softmax(1) for x in outputs]
        weight = 0.1 * math.exp(-5 * 0.5**2)
        expected = {
            "supervised": float(supervised_loss(outputs[0][:2], batch.labels)),
            "supervised_auxiliary": sum(
                float(supervised_loss(x[:2], batch.labels)) / 3 for x in outputs[1:]
            ),
            "consistency": weight * sum(float(corrected_mse(x, target)) / 4 for x in p),
            "self_guided": weight * sum(float(softmax_mse(p[0], x)) / 3 for x in p[1:]),
        }
        assert {n: t.item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-3)

    def test_who_gets_a_gradient_of_the_consistencies(self, small_data: PreparedData) -> None:
        """All decoders and the encoder, and nothing of the teacher."""
        method = self.build(small_data, self.config(small_data))
        assert isinstance(method, hce.HCE)
        for name in ("consistency", "self_guided"):
            method.zero_grad()
            method(self.batch(), Step(99, 100))[name].backward()
            parts = [method.student.encoder, method.student.decoder, *method.auxiliary.decoders]
            for part in (*parts, method.student.head, *method.auxiliary.heads):
                assert any(p.grad is not None and p.grad.any() for p in part.parameters())
            assert all(p.grad is None for p in method.teacher.parameters())

    def test_learned_weights_begin_equal_and_prefer_agreement(
        self, small_data: PreparedData
    ) -> None:
        found = []
        for kind in ("equal", "learned"):
            config = self.config(small_data, f"hce.level_weights={kind}")
            method = self.build(small_data, config)
            torch.manual_seed(1)
            found.append(method(self.batch(), Step(99, 100))["consistency"])
        torch.testing.assert_close(found[0], found[1])
        found[1].backward()
        assert isinstance(method, hce.HCE)
        assert method.level_weights is not None
        gradient = method.level_weights.grad
        assert gradient is not None
        assert gradient.abs().max() > 0
        assert gradient.sum().item() == pytest.approx(0, abs=1e-6)

    def test_apart_only_labelled_images_update_the_running_averages(
        self, small_data: PreparedData
    ) -> None:
        config = self.config(small_data, "training.batch_norm=apart", self.dropout(0.0))
        found = []
        for other in (0.0, 100.0):
            method = self.build(small_data, config)
            batch = self.batch()
            batch.images[2:] += other
            method(batch, Step(0, 100))
            found.append(method.student.encoder.state_dict())
        one, two = found
        assert all(torch.equal(x, two[name]) for name, x in one.items())

    def test_without_unlabelled_images_all_decoders_are_supervised(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = Batch(self.batch().images[:2], self.batch().labels)
        terms = method(batch, Step(99, 100))
        assert set(terms) == {"supervised", "supervised_auxiliary"}
        sum(terms.values(), torch.zeros(())).backward()
        assert all(p.grad is not None for p in method.parameters() if p.requires_grad)

    def test_maps_are_perturbed_in_training_only(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data, self.dropout(0.0)))
        assert isinstance(method, hce.HCE)
        for training in (True, False):
            method.train(training)
            one, other = method.all_logits(self.batch()), method.all_logits(self.batch())
            same = [torch.equal(a, b) for a, b in zip(one, other, strict=True)]
            assert same == [True, *[not training] * 3]

    def test_both_consistencies_can_start_late(self, small_data: PreparedData) -> None:
        for settings, late in (
            (("hce.consistency_from=0.5",), {"consistency": 50, "self_guided": 50}),
            (("hce.consistency_weight=0",), {}),
        ):
            method = self.build(small_data, self.config(small_data, *settings))
            assert method.active_from(100) == late

    def test_noise_above_1_is_refused(self, small_data: PreparedData) -> None:
        with pytest.raises(UserError, match=r"hce\.noise"):
            self.config(small_data, "hce.noise=1.1")

    def test_too_many_levels_are_refused(self, small_data: PreparedData) -> None:
        with pytest.raises(UserError, match=r"hce.levels=6 is too many.* use 5 or less"):
            self.build(small_data, self.config(small_data, "hce.levels=6"))
