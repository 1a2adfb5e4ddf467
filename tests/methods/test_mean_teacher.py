"""``mean-teacher``: the conformance checks, and its loss against a plain loop."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods import mean_teacher
from semiseg.methods.base import Step
from semiseg.testing import MethodConformance
from teacher_checks import LateTeacher


class TestMeanTeacherOnVolumes(MethodConformance):
    name = "mean-teacher"
    dimensions = 3
    settings = ("mean-teacher.ema_decay=0.9",)
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.85183, 5: 0.74836, 10: 0.65583, 19: 0.611}


class TestMeanTeacher(LateTeacher, MethodConformance):
    name = "mean-teacher"
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.73757, 5: 0.51313, 10: 0.42721, 19: 0.38781}

    @pytest.mark.parametrize(
        ("on_labelled", "batch_norm"), [(False, "together"), (True, "together"), (True, "apart")]
    )
    def test_the_consistency_is_the_papers(
        self, small_data: PreparedData, on_labelled: bool, batch_norm: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """The mean over pixels and classes of squared differences, computed with a loop in float64."""
        monkeypatch.setattr(mean_teacher, "input_noise", lambda x: x + 0.1)
        config = self.config(
            small_data, f"mean-teacher.on_labelled={str(on_labelled).lower()}", self.dropout(0.0),
            f"training.batch_norm={batch_norm}",
        )  # fmt: skip
        method = self.build(small_data, config)
        batch = self.batch()
        self.steps(method, config, [batch], 2)  # so that the teacher differs from the student
        terms = method(batch, Step(99, 100))
        first = 0 if on_labelled else 2
        with torch.no_grad():
            parts = (
                [batch.images[:2], batch.images[2:]] if batch_norm == "apart" else [batch.images]
            )
            logits = torch.cat([method.logits(part, "student") for part in parts])
            student = logits.double().softmax(1).numpy()
            method.teacher.train()
            if batch_norm == "together":
                parts = [batch.images[first:]]
            teacher = torch.cat([method.logits(part + 0.1, "teacher") for part in parts])
        target = teacher.double().softmax(1).numpy()
        squares = [
            (student[first + image, k, row, column] - target[image, k, row, column]) ** 2
            for image, k, row, column in np.ndindex(*target.shape)
        ]
        weight = 0.1 * np.exp(-5 * (1 - 0.99) ** 2)
        expected = weight * sum(squares) / len(squares)
        assert terms["consistency"].item() == pytest.approx(expected, rel=1e-4)

    def test_the_consistency_starts_late(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        assert method.active_from(30_000) == {"consistency": 1000}
        assert method(self.batch(), Step(999, 30_000))["consistency"].item() == 0
        method.after_step(Step(0, 10))
        assert method(self.batch(), Step(1000, 30_000))["consistency"].item() > 0

    def test_without_unlabelled_images_the_loss_is_supervised(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = Batch(self.batch().images[:2], self.batch().labels)
        assert set(method(batch, Step(99, 100))) == {"supervised"}
