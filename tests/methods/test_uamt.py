"""``uamt``: the conformance checks, its loss against a loop, and its threshold."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods import uamt
from semiseg.methods.base import Step
from semiseg.methods.common.monte_carlo import MonteCarlo
from semiseg.testing import MethodConformance
from teacher_checks import LateTeacher

CLASSES = 3


class TestUAMTOnVolumes(MethodConformance):
    name = "uamt"
    dimensions = 3
    settings = ("uamt.ema_decay=0.9", "uamt.passes=2")
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.85184, 5: 0.74842, 10: 0.65614, 19: 0.61139}


class TestUAMT(LateTeacher, MethodConformance):
    name = "uamt"
    settings = ("uamt.passes=3",)
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.73757, 5: 0.51316, 10: 0.42747, 19: 0.38809}

    @pytest.mark.parametrize(
        ("on_labelled", "batch_norm"), [(False, "together"), (True, "together"), (True, "apart")]
    )
    @pytest.mark.parametrize("target", ["pass", "mean"])
    def test_the_consistency_is_the_papers(
        self, small_data: PreparedData, target: str, on_labelled: bool, batch_norm: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """A loop over pixels in float64. Without noise and dropout all passes are equal."""
        monkeypatch.setattr("semiseg.methods.common.monte_carlo.input_noise", lambda x, *_: x)
        monkeypatch.setattr(uamt, "input_noise", lambda x: x + 0.1)
        config = self.config(
            small_data, f"uamt.on_labelled={str(on_labelled).lower()}", f"uamt.target={target}",
            "uamt.threshold_from=0.9", "uamt.threshold_to=0.95", self.dropout(0.0),
            f"training.batch_norm={batch_norm}",
        )  # fmt: skip
        method = self.build(small_data, config)
        batch = self.batch()
        self.steps(method, config, [batch], 5)  # so that the teacher differs from the student
        terms = method(batch, Step(50, 100))
        first, images = 0 if on_labelled else 2, batch.images
        halves = [images[:2], images[2:]]
        with torch.no_grad():
            parts = halves if batch_norm == "apart" else [images]
            logits = torch.cat([method.logits(part, "student") for part in parts])
            student = logits[first:].double().softmax(1).numpy()
            method.teacher.train()
            mean = method.logits(images[first:], "teacher").double().softmax(1).numpy()
            parts = halves if batch_norm == "apart" else [images[first:]]
            logits = torch.cat([method.logits(part + 0.1, "teacher") for part in parts])
            aim = logits.double().softmax(1).numpy() if target == "pass" else mean
        ramp = math.exp(-5 * 0.5**2)
        threshold = (0.9 + 0.05 * ramp) * math.log(CLASSES)
        total, certain, images_, height, width = 0.0, 0, *mean[:, 0].shape
        for image, row, column in np.ndindex(images_, height, width):
            place = (image, slice(None), row, column)
            if -sum(p * math.log(p) for p in mean[place]) < threshold:
                certain += 1
                total += sum((p - q) ** 2 for p, q in zip(student[place], aim[place], strict=True))
        assert 0 < certain < images_ * height * width
        expected = 0.1 * ramp * total / (CLASSES * certain)
        assert terms["consistency"].item() == pytest.approx(expected, rel=1e-3)

    def test_the_threshold_rises_to_the_largest_entropy_of_all_classes(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        assert isinstance(method, uamt.UAMT)
        found = [method.threshold(Step(t, 100)) / math.log(CLASSES) for t in (0, 50, 100)]
        assert found == pytest.approx([0.75 + 0.25 * math.exp(-5 * d * d) for d in (1, 0.5, 0)])

    def test_uncertain_pixels_have_no_part(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No certain pixel: a consistency of 0 with a graph, and no gradient from it."""
        config = self.config(small_data, self.dropout(0.0))
        method = self.build(small_data, config)
        batch = self.batch()

        def all_uncertain(network: object, images: torch.Tensor, passes: int) -> MonteCarlo:
            assert passes == 3
            even = torch.full((len(images), CLASSES, *self.shape), 1 / CLASSES)
            return MonteCarlo(even, torch.full((len(images), *self.shape), math.log(CLASSES)))

        monkeypatch.setattr(uamt, "monte_carlo", all_uncertain)
        consistency = method(batch, Step(99, 100))["consistency"]
        assert consistency.item() == 0
        consistency.backward()
        assert not any(p.grad.any() for p in method.student.parameters() if p.grad is not None)

    def test_without_unlabelled_images_the_loss_is_supervised(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = Batch(self.batch().images[:2], self.batch().labels)
        assert set(method(batch, Step(99, 100))) == {"supervised"}
