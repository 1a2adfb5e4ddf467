"""``double-ua``: the conformance checks, and its weights against loops over the formulas."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods import double_ua
from semiseg.methods.base import Step
from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.double_ua import DoubleUA, bayesian_passes
from semiseg.testing import MethodConformance

TERMS = {"supervised", "consistency"}
FRESH = ("double-ua.passes=2", "double-ua.ema_decay=0.9")


class TestDoubleUAOnVolumes(MethodConformance):
    name = "double-ua"
    dimensions = 3
    settings = FRESH
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.85184, 5: 0.74836, 10: 0.65587, 19: 0.61103}


class TestDoubleUA(MethodConformance):
    name = "double-ua"
    settings = FRESH
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.73757, 5: 0.51313, 10: 0.42723, 19: 0.38768}

    def method(self, data: PreparedData, *more: str) -> DoubleUA:
        """A method whose teacher differs from its student."""
        config = self.config(data, *more)
        method = self.build(data, config)
        self.steps(method, config, [self.batch()], 3)
        assert isinstance(method, DoubleUA)
        return method

    def test_target_and_uncertainties_are_those_of_the_passes(
        self, small_data: PreparedData
    ) -> None:
        method = self.method(small_data, self.dropout(0.3))
        images = self.batch().images[:1]
        torch.manual_seed(4)
        target, of_classes, of_features = bayesian_passes(method.teacher, images, 3, 0.1)
        torch.manual_seed(4)
        logits, maps = [], []
        with frozen_pass(method.teacher, dropout=True):
            for _ in range(3):
                seen = images + (0.1 * torch.randn_like(images)).clamp(-0.2, 0.2)
                features = method.teacher.features(seen)
                logits.append(method.teacher.classify(features).double())
                maps.append(features[1].double())
        assert not torch.equal(maps[0], maps[1])
        for row, column in ((0, 0), (5, 9), (31, 16)):
            for passes, uncertainty, mean in (
                (logits, of_classes, target), (maps, of_features, None),
            ):  # fmt: skip
                chances = []
                for x in passes:
                    powers = [math.exp(v) for v in x[0, :, row, column].tolist()]
                    chances.append([v / sum(powers) for v in powers])
                average = [sum(c) / 3 for c in zip(*chances, strict=True)]
                expected = -sum(v * math.log(v) for v in average)
                found = uncertainty[0, row, column].item()
                assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
                if mean is not None:
                    assert mean[0, :, row, column].tolist() == pytest.approx(average, rel=1e-4)

    @pytest.mark.parametrize("on_labelled", [True, False])
    @pytest.mark.parametrize("used", [(True, True), (True, False), (False, True), (False, False)])
    def test_the_consistency_is_weighted_by_both_uncertainties(
        self,
        small_data: PreparedData,
        on_labelled: bool,
        used: tuple[bool, bool],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        first = 0 if on_labelled else 2
        generator = torch.Generator().manual_seed(0)
        q = torch.randn(4 - first, 3, 32, 32, generator=generator).softmax(1)
        u = 2 * torch.rand(2, 4 - first, 32, 32, generator=generator)
        seen: list[Tensor] = []

        def passes(teacher: object, images: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
            seen.append(images)
            return q, u[0], u[1]

        monkeypatch.setattr(double_ua, "bayesian_passes", passes)
        on = [str(value).lower() for value in (on_labelled, *used)]
        method = self.method(
            small_data, self.dropout(0.0), f"double-ua.on_labelled={on[0]}",
            f"double-ua.segmentation_uncertainty={on[1]}", f"double-ua.feature_uncertainty={on[2]}",
        )  # fmt: skip
        batch = self.batch()
        found = method(batch, Step(99, 100))["consistency"].item()
        assert torch.equal(seen[-1], batch.images[first:])
        with torch.no_grad():
            p = method.logits(batch.images, "student").double().softmax(1).numpy()[first:]
        above = below = 0.0
        for image, row, column in np.ndindex(4 - first, 32, 32):
            d = sum(
                (p[image, k, row, column] - q[image, k, row, column].item()) ** 2 for k in range(3)
            )
            total = sum(u[i, image, row, column].item() for i in range(2) if used[i])
            above += math.exp(-total) * d / 3
            below += math.exp(-total)
        weight = 0.1 * math.exp(-5 * 0.01**2)
        assert found == pytest.approx(weight * above / below, rel=1e-4)

    def test_the_students_entropy_can_be_added(self, small_data: PreparedData) -> None:
        losses = []
        for weight in (0, 2):
            method = self.method(
                small_data, self.dropout(0.0), f"double-ua.entropy_weight={weight}",
                "double-ua.noise=0",
            )  # fmt: skip
            method.load_state_dict(losses[0][1] if losses else method.state_dict())
            losses.append(
                (method(self.batch(), Step(100, 100))["consistency"], method.state_dict())
            )
        with torch.no_grad():
            p = method.logits(self.batch().images, "student").softmax(1)
        expected = 0.2 * -(p * p.log()).sum(1).mean().item()
        assert (losses[1][0] - losses[0][0]).item() == pytest.approx(expected, rel=1e-3)

    def test_without_unlabelled_images(self, small_data: PreparedData) -> None:
        batch = Batch(self.batch().images[:1], self.batch().labels[:1])
        method = self.method(small_data)
        assert set(method(batch, Step(99, 100))) == TERMS
        method = self.method(small_data, "double-ua.on_labelled=false")
        assert set(method(batch, Step(99, 100))) == {"supervised"}
