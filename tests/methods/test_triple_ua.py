"""``triple-ua``: the conformance checks, its losses and its targets against loops."""

import math
from typing import ClassVar

import pytest
import torch

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.methods.base import Step
from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.triple_ua import TripleUA, gate, outputs, reconstruction_loss, true_maps
from semiseg.testing import MethodConformance

TASKS = ("segmentation", "reconstruction", "distance")
TERMS = {"supervised", "reconstruction", "distance", *(f"consistency_{t}" for t in TASKS)}
FRESH = ("triple-ua.passes=2", "triple-ua.ema_decay=0.9")


class TestTripleUAOnVolumes(MethodConformance):
    name = "triple-ua"
    dimensions = 3
    settings = FRESH
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.99019, 5: 0.86804, 10: 0.77416, 19: 0.72326}


class TestTripleUA(MethodConformance):
    name = "triple-ua"
    settings = FRESH
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.89988, 5: 0.6235, 10: 0.51656, 19: 0.46884}

    def method(self, data: PreparedData, *more: str) -> TripleUA:
        """A method whose teacher differs from its student."""
        config = self.config(data, *more)
        method = self.build(data, config)
        self.steps(method, config, [self.batch()], 3)
        assert isinstance(method, TripleUA)
        return method

    def test_targets_are_those_of_the_passes(self, small_data: PreparedData) -> None:
        method = self.method(small_data, self.dropout(0.3), "triple-ua.passes=3")
        images = self.batch().images[:1]
        torch.manual_seed(4)
        targets = method.targets(images)
        torch.manual_seed(4)
        passes = []
        with frozen_pass(method.teacher, dropout=True):
            for _ in range(3):
                seen = images + (0.1 * torch.randn_like(images)).clamp(-0.2, 0.2)
                maps = method.teacher.features(seen)
                passes.append(outputs(method.teacher, method.teacher_heads, maps))
        assert not any(t.mean.requires_grad for t in targets.values())
        for row, column in ((0, 0), (5, 9), (31, 16)):
            place = (0, slice(None), row, column)
            above, below = [0.0] * 3, 0.0
            for found in passes:
                powers = [math.exp(v) for v in found["segmentation"][place].tolist()]
                q = [v / sum(powers) for v in powers]
                weight = math.exp(sum(v * math.log(v) for v in q))
                above = [a + weight * v for a, v in zip(above, q, strict=True)]
                below += weight
            mean = [a / below for a in above]
            assert targets["segmentation"].mean[place].tolist() == pytest.approx(mean, rel=1e-4)
            expected = -sum(v * math.log(v) for v in mean)
            uncertainty = targets["segmentation"].uncertainty[0, row, column].item()
            assert uncertainty == pytest.approx(expected, rel=1e-4)
            for name in TASKS[1:]:
                values = torch.stack([found[name][place] for found in passes]).double()
                target = targets[name]
                assert target.mean[place].tolist() == pytest.approx(
                    values.mean(0).tolist(), rel=1e-4
                )
                variance = ((values - values.mean(0)) ** 2).mean().item()
                assert target.uncertainty[0, row, column].item() == pytest.approx(
                    variance, rel=1e-3
                )

    def test_each_consistency_covers_the_certain_pixels(self, small_data: PreparedData) -> None:
        method = self.method(small_data, self.dropout(0.0), "triple-ua.noise=0.0")
        batch, step = self.batch(), Step(50, 100)
        terms = method(batch, step)
        with torch.no_grad():
            maps = method.student.features(batch.images)
            found = outputs(method.student, method.heads, maps)
        found["segmentation"] = found["segmentation"].softmax(1)
        weight = 0.1 * math.exp(-5 * 0.5**2)
        part = 0.75 + 0.25 * math.exp(-5 * 0.5**2)
        for name, target in method.targets(batch.images[2:]).items():
            u = target.uncertainty
            largest = math.log(3) if name == "segmentation" else u.max().item()
            error, count = 0.0, 0
            for image in range(2):
                for row in range(32):
                    for column in range(32):
                        place = (image, slice(None), row, column)
                        if u[image, row, column].item() > part * largest:
                            continue
                        difference = found[name][2:][place] - target.mean[place]
                        error += difference.double().square().mean().item()
                        count += 1
            assert terms[f"consistency_{name}"].item() == pytest.approx(
                weight * error / count, rel=1e-3
            )

    def test_the_teachers_heads_follow(self, small_data: PreparedData) -> None:
        method = self.method(small_data)
        names = [n for n, p in method.named_parameters() if n.startswith("teacher")]
        assert any(n.startswith("teacher_heads") for n in names)
        assert not any(p.requires_grad for n, p in method.named_parameters() if n in names)
        before = {n: p.clone() for n, p in method.teacher_heads.named_parameters()}
        method.after_step(Step(3, 10))
        decay = min(1 - 1 / 4, 0.9)
        for name, p in method.teacher_heads.named_parameters():
            student = method.heads.get_parameter(name)
            torch.testing.assert_close(p, decay * before[name] + (1 - decay) * student)

    def test_distance_maps_come_from_the_loader(self, small_data: PreparedData) -> None:
        assert TripleUA.needs_distance_maps
        batch = self.batch()
        computed = true_maps(batch, 3)
        assert computed.shape == (2, 2, 32, 32)
        given = Batch(batch.images, batch.labels, torch.zeros_like(computed))
        assert true_maps(given, 3) is given.distance_maps

    def test_without_unlabelled_images(self, small_data: PreparedData) -> None:
        batch = Batch(self.batch().images[:1], self.batch().labels[:1])
        terms = self.method(small_data)(batch, Step(99, 100))
        assert set(terms) == {"supervised", "reconstruction", "distance"}


def test_the_reconstruction_is_of_foreground_and_background() -> None:
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    images = torch.randn(2, 2, 3, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (2, 3, 3), generator=generator)
    labels[0, 0] = IGNORE_INDEX
    total, count = 0.0, 0
    for b in range(2):
        for r in range(3):
            for c in range(3):
                if labels[b, r, c] == IGNORE_INDEX:
                    continue
                for k in range(2):
                    x, inside = images[b, k, r, c].item(), labels[b, r, c].item() > 0
                    total += (found[b, k, r, c].item() - (x if inside else 0)) ** 2
                    total += (found[b, 2 + k, r, c].item() - (0 if inside else x)) ** 2
                    count += 2
    loss = reconstruction_loss(found, images, labels)
    assert loss.item() == pytest.approx(total / count, rel=1e-12)
    found.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: reconstruction_loss(x, images, labels), (found,))
    labels.fill_(IGNORE_INDEX)
    assert reconstruction_loss(found, images, labels).item() == 0


def test_the_gate_opens_during_the_run() -> None:
    u = torch.tensor([[0.0, 0.7, 0.8, 1.0]])
    assert gate(u, 0.0, 1.0).tolist() == [[True, True, False, False]]
    assert gate(u, 1.0, 1.0).all()
    assert gate(2 * u, 0.0, None).tolist() == [[True, True, False, False]]
    assert gate(torch.zeros(1, 4), 0.0, None).all()  # a network without dropout
