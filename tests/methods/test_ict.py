"""``ict``: the conformance checks, its loss against a loop, and its pairs."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods import ict
from semiseg.methods.base import Step
from semiseg.testing import MethodConformance
from teacher_checks import LateTeacher


class TestICTOnVolumes(MethodConformance):
    name = "ict"
    dimensions = 3
    settings = ("ict.ema_decay=0.9",)
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.85341, 5: 0.74912, 10: 0.66023, 19: 0.6249}


class TestICT(LateTeacher, MethodConformance):
    name = "ict"
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.74878, 5: 0.51713, 10: 0.40923, 19: 0.39306}

    @pytest.mark.parametrize(
        ("unlabelled", "pairs"),
        [(1, [(0, 0)]), (2, [(0, 1)]), (3, [(0, 1), (1, 2)]), (4, [(0, 2), (1, 3)])],
    )
    def test_the_consistency_is_the_papers(
        self, small_data: PreparedData, unlabelled: int, pairs: list[tuple[int, int]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """A loop over pairs and pixels in float64."""
        factors = torch.tensor([0.3, 0.9])[: len(pairs)]

        def fixed(count: int, alpha: float, device: torch.device) -> Tensor:
            assert (count, alpha) == (len(pairs), 0.2)
            return factors

        monkeypatch.setattr(ict, "mixup_factors", fixed)
        config = self.config(small_data, self.dropout(0.0), "training.batch_norm=apart")
        method = self.build(small_data, config)
        batch = self.batch(unlabelled=unlabelled)
        self.steps(method, config, [batch], 5)  # so that the teacher differs from the student
        terms = method(batch, Step(99, 100))
        images = batch.images[2:]
        mixes = torch.stack(
            [w * images[i] + (1 - w) * images[j] for w, (i, j) in zip(factors, pairs, strict=True)]
        )
        with torch.no_grad():
            student = method.logits(mixes, "student").double().softmax(1).numpy()
            method.teacher.train()
            teacher = method.logits(images, "teacher").double().softmax(1).numpy()
        squares = []
        for pair, k, row, column in np.ndindex(*student.shape):
            w, (i, j) = float(factors[pair]), pairs[pair]
            target = w * teacher[i, k, row, column] + (1 - w) * teacher[j, k, row, column]
            squares.append((student[pair, k, row, column] - target) ** 2)
        weight = 0.1 * np.exp(-5 * (1 - 0.99) ** 2)
        expected = weight * sum(squares) / len(squares)
        assert terms["consistency"].item() == pytest.approx(expected, rel=1e-3)

    def test_labelled_images_are_not_mixed(self, small_data: PreparedData) -> None:
        """The supervised term is that of the labelled images, whatever is mixed."""
        config = self.config(small_data, self.dropout(0.0), "training.batch_norm=apart")
        method = self.build(small_data, config)
        batch = self.batch()
        alone = method(Batch(batch.images[:2], batch.labels), Step(99, 100))
        assert set(alone) == {"supervised"}
        both = method(batch, Step(99, 100))
        torch.testing.assert_close(both["supervised"], alone["supervised"])

    def test_the_teacher_sees_whole_images(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        assert isinstance(method, ict.ICT)
        seen = []

        def predict(images: Tensor) -> Tensor:
            seen.append(images)
            return method.teacher(images).softmax(1).detach()

        monkeypatch.setattr(method, "teacher_probabilities", predict)
        batch = self.batch(unlabelled=3)
        method(batch, Step(99, 100))
        assert torch.equal(torch.cat(seen), batch.images[2:])
