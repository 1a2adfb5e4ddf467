"""``self-training``: the conformance checks, and each ingredient against a plain computation."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.dice import supervised_loss
from semiseg.losses.ignore import one_hot
from semiseg.losses.pseudo_label import soft_label_loss
from semiseg.methods import self_training
from semiseg.methods.base import Step
from semiseg.methods.common.photometric import lower_resolution, scale_to_unit
from semiseg.methods.self_training import SelfTraining
from semiseg.testing import MethodConformance

TERMS: set[str] = {"supervised", "pseudo"}


class TestSelfTrainingOnVolumes(MethodConformance):
    name = "self-training"
    dimensions = 3
    overfit_steps = 80
    settings = ("self-training.ema_decay=0.9",)
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.16942, 5: 1.06599, 10: 0.98012, 19: 0.9059}


class TestAllIngredients(MethodConformance):
    name = "self-training"
    settings = (
        "self-training.ema_decay=0.9",
        "self-training.cutmix_probability=0.5", "self-training.copy_paste_probability=0.5",
        "self-training.dropped_channels=0.3", "self-training.threshold=0.4",
        "self-training.largest_component=true", "self-training.on_labelled=true",
        "self-training.guard=true",
    )  # fmt: skip
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.09366, 5: 0.82544, 10: 0.71316, 19: 0.67961}


class TestDeepSupervision(MethodConformance):
    name = "self-training"
    settings = (
        "self-training.ema_decay=0.9", "self-training.deep_supervision=2",
        "self-training.dropped_channels=0.3",
    )  # fmt: skip
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.1559, 5: 1.02346, 10: 0.95086, 19: 0.89954}


class TestSoftTargets(MethodConformance):
    name = "self-training"
    settings = (
        "self-training.ema_decay=0.9",
        "self-training.targets=soft", "self-training.copy_paste_probability=0.5",
        "self-training.rampup=0.5", "training.batch_norm=apart",
    )  # fmt: skip
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.73633, 5: 0.6671, 10: 0.67726, 19: 0.61398}


class TestSelfTraining(MethodConformance):
    name = "self-training"
    settings = ("self-training.ema_decay=0.9",)
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.04905, 5: 0.7288, 10: 0.62771, 19: 0.59409}

    def method_of(self, data: PreparedData, *settings: str) -> SelfTraining:
        settings = tuple(s if s.startswith("training") else f"self-training.{s}" for s in settings)
        method = self.build(data, self.config(data, self.dropout(0.0), *settings))
        assert isinstance(method, SelfTraining)
        return method

    def test_the_loss_is_the_students_with_the_teachers_argmax(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """0.5 (CE + Dice) by loops in float64."""
        monkeypatch.setattr(self_training, "photometric_augment", lambda x, *_: x + 0.1)
        method = self.method_of(small_data, "training.batch_norm=apart")
        batch = self.batch()
        terms = method(batch, Step(0, 100))
        with torch.no_grad():
            logits = method.logits(batch.images[2:] + 0.1, "student").double()
            label = method.logits(batch.images[2:], "teacher").argmax(1).numpy()
        p = logits.softmax(1).numpy()
        places = list(np.ndindex(*label.shape))
        entropy = -sum(np.log(p[i, label[i, r, c], r, c]) for i, r, c in places) / len(places)
        dice = []
        for k in range(p.shape[1]):
            overlap = sum(p[i, k, r, c] for i, r, c in places if label[i, r, c] == k)
            size = (p[:, k] ** 2).sum() + (label == k).sum()
            dice.append(1 - (2 * overlap + 1e-5) / (size + 1e-5))
        expected = 0.5 * 0.5 * (entropy + np.mean(dice))
        assert terms["pseudo"].item() == pytest.approx(expected, rel=1e-4)

    def test_the_weight_starts_and_rises(self, small_data: PreparedData) -> None:
        method = self.method_of(small_data, "starts_at=0.2", "rampup=0.4", "pseudo_weight=2")
        weights = [method.consistency_weight(Step(t, 100)) for t in (0, 19, 20, 40, 60, 99)]
        assert weights == pytest.approx([0, 0, 0, 1, 2, 2])
        assert method.active_from(100) == {"pseudo": 20}
        assert method(self.batch(), Step(10, 100))["pseudo"].item() == 0
        assert self.method_of(small_data).consistency_weight(Step(0, 100)) == 0.5

    def test_the_teacher_predicts(self, small_data: PreparedData) -> None:
        method = self.method_of(small_data)
        assert method.network is method.teacher

    def test_without_unlabelled_images_the_loss_is_supervised(
        self, small_data: PreparedData
    ) -> None:
        batch = Batch(self.batch().images[:2], self.batch().labels)
        method = self.method_of(small_data)
        terms = method(batch, Step(50, 100))
        assert set(terms) == {"supervised"}
        expected = supervised_loss(method.logits(batch.images, "student"), batch.labels)
        torch.testing.assert_close(terms["supervised"], expected)

    def test_low_resolution_and_inverted_gamma_have_probabilities_of_their_own(
        self, small_data: PreparedData
    ) -> None:
        images = self.batch().images
        low, inverted, none = (
            self.method_of(small_data, "photometric_probability=0", *more).strong(images)
            for more in (
                ("low_resolution_probability=1", "low_resolution=[0.5, 0.5]"),
                ("inverted_gamma_probability=1", "gamma=[1.5, 1.5]"),
                (),
            )
        )
        torch.testing.assert_close(none, images)
        factors = torch.full((len(images),), 0.5)
        torch.testing.assert_close(low, lower_resolution(images, factors))
        unit, least, width = scale_to_unit(images)
        torch.testing.assert_close(inverted, least + width * (1 - (1 - unit) ** 1.5))

    def test_unsure_pixels_teach_nothing(self, small_data: PreparedData) -> None:
        method = self.method_of(small_data, "threshold=1.0")
        label = method.target(self.batch().images[2:], self.batch().labels)
        assert (label == IGNORE_INDEX).all()
        assert method(self.batch(), Step(50, 100))["pseudo"].item() == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("targets", ["hard", "soft"])
    def test_pasted_boxes_bring_their_labels(
        self, small_data: PreparedData, targets: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(self_training, "photometric_augment", lambda x, *_: x)
        settings = (f"targets={targets}", "copy_paste_probability=1", "cutmix_probability=1")
        method = self.method_of(small_data, *settings)
        batch = self.batch(labelled=1)
        code = torch.full_like(batch.labels, 2)
        batch = Batch(torch.cat([torch.full_like(batch.images[:1], 7.0), batch.images[1:]]), code)
        images = batch.images[1:]
        target = method.target(images, batch.labels)
        seen, mixed = method.strong_view(images, target, batch)
        inside = seen[:, 0] == 7.0
        assert inside.float().mean() == pytest.approx((2 / 3) ** 2, abs=0.05)
        found = mixed if targets == "hard" else mixed.argmax(1)
        assert (found[inside] == 2).all()
        # elsewhere each pixel belongs to one of the unlabelled images, and so does its target
        whole = target if targets == "hard" else target.argmax(1)
        for one, label in zip(seen, found, strict=True):
            same = torch.stack([(one == other).all(0) for other in images])
            assert (same.any(0) | (one[0] == 7.0)).all()
            agrees = torch.stack([s & (label == w) for s, w in zip(same, whole, strict=True)])
            assert (agrees.any(0) | (one[0] == 7.0)).all()

    def test_channels_are_dropped_for_unlabelled_images_only(
        self, small_data: PreparedData
    ) -> None:
        plain, dropped = (
            self.method_of(small_data, f"dropped_channels={p}", "training.batch_norm=apart")
            for p in (0.0, 0.5)
        )
        batch = self.batch()
        one, other = (m.outputs(batch.images, 2)[0] for m in (plain, dropped))
        torch.testing.assert_close(one[:2], other[:2])
        assert not torch.allclose(one[2:], other[2:])

    def test_soft_targets_of_0_and_1_are_hard_ones(self) -> None:
        torch.manual_seed(0)
        logits, label = torch.randn(2, 3, 5, 4), torch.randint(0, 3, (2, 5, 4))
        label[0, 0] = IGNORE_INDEX
        soft = soft_label_loss(logits, one_hot(label, 3))
        torch.testing.assert_close(soft, supervised_loss(logits, label))
        nothing = soft_label_loss(logits, torch.zeros(2, 3, 5, 4))
        assert nothing.item() == pytest.approx(0, abs=1e-6)

    def test_the_soft_loss_is_its_formula(self) -> None:
        torch.manual_seed(0)
        logits: Tensor = torch.randn(2, 3, 4, 3, dtype=torch.float64)
        q = torch.rand(2, 3, 4, 3, dtype=torch.float64).softmax(1)
        p, places = logits.softmax(1), list(np.ndindex(2, 4, 3))
        entropy = -sum(
            float(q[i, k, r, c] * p[i, k, r, c].log()) for i, r, c in places for k in range(3)
        )
        dice = [
            1
            - (2 * sum(float(p[i, k, r, c] * q[i, k, r, c]) for i, r, c in places) + 1e-5)
            / (sum(float(p[i, k, r, c] ** 2 + q[i, k, r, c] ** 2) for i, r, c in places) + 1e-5)
            for k in range(3)
        ]
        expected = 0.5 * (entropy / len(places) + np.mean(dice))
        assert soft_label_loss(logits, q).item() == pytest.approx(expected, rel=1e-9)

    def test_the_guard_ignores_pixels_of_a_lost_class_and_says_so(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        method, batch = self.method_of(small_data, "guard=true"), self.batch()
        probabilities = torch.rand(2, 3, *self.shape) * torch.tensor([1.0, 1.0, 0.1])[:, None, None]
        monkeypatch.setattr(method, "teacher_probabilities", lambda images: probabilities)
        target = method.target(batch.images[batch.labelled :], batch.labels)
        assert method.guard is not None
        assert method.guard.vanished().tolist() == [False, False, True]
        ignored = target == IGNORE_INDEX
        share = min(2 * float((batch.labels == 2).float().mean()), 1.0)
        assert float(ignored.float().mean()) == pytest.approx(share, abs=0.01)
        assert probabilities[:, 2][ignored].min() >= probabilities[:, 2][~ignored].max()
        name = method.task.classes[2]
        assert [name in remark for remark in method.remarks()] == [True]
        assert self.method_of(small_data).remarks() == []

    def test_without_any_class_the_pseudo_labels_weigh_nothing(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        method, batch = self.method_of(small_data, "guard=true"), self.batch()
        empty = torch.zeros(2, 3, *self.shape)
        empty[:, 0] = 1.0
        monkeypatch.setattr(method, "teacher_probabilities", lambda images: empty)
        assert method(batch, Step(50, 100))["pseudo"] == 0
