"""``coranet``: the conformance checks, its three losses against plain loops, its stages."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch

from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Step
from semiseg.methods.coranet import CoraNet
from semiseg.testing import MethodConformance

LATE = Step(99, 100)


class TestCoraNetOnVolumes(MethodConformance):
    name = "coranet"
    dimensions = 3
    settings = ("coranet.ema_decay=0.9",)
    terms: ClassVar[set[str]] = {"supervised", "certain", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.94562, 5: 1.49965, 10: 1.43676, 19: 1.39427}


class TestCoraNet(MethodConformance):
    name = "coranet"
    terms: ClassVar[set[str]] = {"supervised", "certain", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.9932, 3: 1.45545, 5: 1.34582, 19: 0.97765}

    def coranet(self, data: PreparedData, *settings: str) -> CoraNet:
        """A method after a few steps: its teacher differs, and its biased heads disagree somewhere."""
        config = self.config(data, self.dropout(0.0), "training.batch_norm=apart", *settings)
        method = self.build(data, config)
        assert isinstance(method, CoraNet)
        self.steps(method, config, [self.batch()], 3)
        return method

    def test_the_losses_are_the_papers(self, small_data: PreparedData) -> None:
        """Loops in float64."""
        method, batch = self.coranet(small_data), self.batch(seed=4)
        targets = [x.double().numpy() for x in method.teacher_predictions(batch.images[2:])]
        with torch.no_grad():
            features = method.features(method.student, batch.images, 2)
            heads = [method.student.head, *method.biased_heads]
            logits = [head(features[1]) for head in heads]
        student = [x.double().softmax(1).numpy() for x in logits]
        terms = method(batch, LATE)

        def cross_entropy(p: np.ndarray, labels: np.ndarray, weights: list[float]) -> float:
            total = counted = 0.0
            for b, row, column in np.ndindex(*labels.shape):
                code = labels[b, row, column]
                if code >= 0:
                    total -= weights[code] * math.log(p[b, code, row, column])
                    counted += weights[code]
            return total / counted

        def dice(p: np.ndarray, labels: np.ndarray) -> float:
            total = 0.0
            for k in range(3):
                overlap = size = 0.0
                for b, row, column in np.ndindex(*labels.shape):
                    if labels[b, row, column] >= 0:
                        value, truth = p[b, k, row, column], float(labels[b, row, column] == k)
                        overlap, size = overlap + value * truth, size + value**2 + truth
                total += (1 - (2 * overlap + 1e-5) / (size + 1e-5)) / 3
            return total

        labels, main = batch.labels.numpy(), student[0]
        supervised = cross_entropy(main[:2], labels, [1, 1, 1]) + dice(main[:2], labels)
        supervised += cross_entropy(student[1][:2], labels, [1, 5, 5])
        supervised += cross_entropy(student[2][:2], labels, [5, 1, 1])
        assert terms["supervised"].item() == pytest.approx(supervised / 4, rel=1e-4)

        certain = targets[1].argmax(1) == targets[2].argmax(1)
        assert 0 < certain.sum() < certain.size
        pseudo_label = np.where(certain, targets[0].argmax(1), -1)
        expected = cross_entropy(main[2:], pseudo_label, [1, 1, 1]) + dice(main[2:], pseudo_label)
        assert terms["certain"].item() == pytest.approx(expected / 2, rel=1e-4)

        squares = [
            (one[2 + b, k, row, column] - other[b, k, row, column]) ** 2
            for one, other in zip(student, targets, strict=True)
            for b, k, row, column in np.ndindex(2, 3, 32, 32)
            if not certain[b, row, column]
        ]
        weight = 0.1 * np.exp(-5 * (1 - 0.99) ** 2)
        assert terms["consistency"].item() == pytest.approx(weight * np.mean(squares), rel=1e-4)

    def test_only_the_main_head_learns_from_pseudo_labels(self, small_data: PreparedData) -> None:
        method = self.coranet(small_data)
        method.zero_grad()
        method(self.batch(seed=4), LATE)["certain"].backward()
        assert all(p.grad is None for p in method.biased_heads.parameters())
        assert all(p.grad is not None for p in method.student.head.parameters())
        assert all(p.grad is None for p in method.teacher.parameters())
        assert all(p.grad is None for p in method.teacher_heads.parameters())

    def test_the_radical_head_predicts_more_foreground(self, small_data: PreparedData) -> None:
        """Labels are drawn at random, so that a head can learn only how often a class occurs."""
        config = self.config(
            small_data, self.dropout(0.0), "training.learning_rate=0.01", "coranet.cost=5"
        )
        method = self.build(small_data, config)
        assert isinstance(method, CoraNet)
        batches = []
        for seed in range(3):
            batch = self.batch(seed)
            generator = torch.Generator().manual_seed(seed)
            batch.labels.copy_(torch.randint(0, 3, batch.labels.shape, generator=generator))
            batches.append(batch)
        self.steps(method, config, batches, 15)
        _, radical, conservative = method.teacher_predictions(batches[0].images)
        assert radical[:, 1:].sum(1).mean() > conservative[:, 1:].sum(1).mean() + 0.3

    def test_the_heads_of_the_teacher_follow(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        assert isinstance(method, CoraNet)
        with torch.no_grad():
            for parameter in method.biased_heads.parameters():
                parameter.add_(1.0)
        before = [p.clone() for p in method.teacher_heads.parameters()]
        method.after_step(Step(5000, 10_000))
        for old, new, own in zip(
            before, method.teacher_heads.parameters(), method.biased_heads.parameters(), strict=True
        ):
            torch.testing.assert_close(new, 0.99 * old + 0.01 * own)

    def test_the_first_stage_is_supervised_and_sees_labelled_images_only(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data, self.dropout(0.0)))
        assert method.active_from(23_100) == {"certain": 3000, "consistency": 3000}
        batch = self.batch()
        early = method(batch, Step(2999, 23_100))
        batch.images[2:] = 99
        assert method(batch, Step(2999, 23_100)) == early
        assert set(early) == {"supervised"}
        assert set(method(batch, Step(3000, 23_100))) == self.terms

    def test_without_unlabelled_images_the_loss_is_supervised(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        assert set(method(self.batch(unlabelled=0), LATE)) == {"supervised"}

    def test_certain_everywhere_has_no_consistency(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        assert isinstance(method, CoraNet)
        one, other = method.teacher_heads
        other.load_state_dict(one.state_dict())
        terms = method(self.batch(), LATE)
        assert terms["consistency"].item() == 0
        assert terms["certain"].item() > 0
