"""``triple-ua``: the conformance checks, its losses and its targets against loops."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Step
from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.triple_ua import TASKS, TripleUA, outputs, remove_dropout
from semiseg.networks.swin_unet import DropPath
from semiseg.testing import MethodConformance

SUPERVISED = {"supervised", "reconstruction", "distance"}
CONSISTENCIES = {f"consistency_{task}" for task in TASKS}
TERMS = SUPERVISED | CONSISTENCIES | {"mutual"}
FRESH = ("triple-ua.passes=2", "triple-ua.ema_decay=0.9")
QUIET = "triple-ua.noise=0"
PLACES = ((0, 0), (5, 9), (31, 16))


class TestTripleUAOnVolumes(MethodConformance):
    name = "triple-ua"
    dimensions = 3
    settings = FRESH
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.69297, 5: 0.61841, 10: 0.56289, 19: 0.53171}


class TestTripleUA(MethodConformance):
    name = "triple-ua"
    settings = FRESH
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.68731, 5: 0.48076, 10: 0.3911, 19: 0.35243}

    def method(self, data: PreparedData, *more: str) -> TripleUA:
        """A method whose teacher differs from its student."""
        config = self.config(data, *more)
        method = self.build(data, config)
        self.steps(method, config, [self.batch()], 3)
        assert isinstance(method, TripleUA)
        return method

    def student(self, method: TripleUA, images: Tensor) -> dict[int, Tensor]:
        with torch.no_grad():
            return outputs(method.student, method.tasks, images)

    def test_targets_are_those_of_the_passes(self, small_data: PreparedData) -> None:
        method = self.method(small_data, self.dropout(0.3), "triple-ua.passes=3")
        images = self.batch().images[:1]
        torch.manual_seed(4)
        targets = method.targets(images)
        torch.manual_seed(4)
        passes = []
        with frozen_pass(nn.ModuleList([method.teacher, method.teacher_tasks]), dropout=True):
            for _ in range(3):
                seen = images + (0.02 * torch.randn_like(images)).clamp(-0.05, 0.05)
                passes.append(outputs(method.teacher, method.teacher_tasks, seen))
        assert not any(x.requires_grad for target in targets for x in target)
        for row, column in PLACES:
            place = (0, slice(None), row, column)
            bits = [self.entropy(found[0][place].tolist()) for found in passes]
            shares = [math.exp(1 - u) for u in bits]
            mean = [
                sum(
                    share * found[0][0, k, row, column].item()
                    for share, found in zip(shares, passes, strict=True)
                )
                / sum(shares)
                for k in range(3)
            ]
            assert targets[0].mean[place].tolist() == pytest.approx(mean, rel=1e-4)
            weight = targets[0].weight[place].tolist()
            assert weight == pytest.approx([1 - self.entropy(mean)], rel=1e-3, abs=1e-5)
            for task, root in ((1, True), (2, False)):
                values = torch.stack([found[task][place] for found in passes]).double()
                assert values.shape == (3, 2)
                expected = []
                for channel in values.T.tolist():
                    average = sum(channel) / 3
                    variance = sum((v - average) ** 2 for v in channel) / 2
                    expected.append(math.exp(-(math.sqrt(variance) if root else variance)))
                assert targets[task].weight[place].tolist() == pytest.approx(expected, rel=1e-4)
                assert targets[task].mean[place].tolist() == pytest.approx(
                    values.mean(0).tolist(), rel=1e-4
                )

    @staticmethod
    def entropy(p: list[float]) -> float:
        """With the number of classes as the base of the logarithm: bits for two classes."""
        return -sum(v * math.log(v, len(p)) for v in p)

    def test_one_pass_has_no_spread(self, small_data: PreparedData) -> None:
        method = self.method(small_data, "triple-ua.passes=1")
        _, *others = method.targets(self.batch().images)
        assert all((target.weight == 1).all() for target in others)

    @pytest.mark.parametrize("on_labelled", [True, False])
    def test_each_consistency_is_weighted_by_its_uncertainty(
        self, small_data: PreparedData, on_labelled: bool
    ) -> None:
        method = self.method(
            small_data,
            self.dropout(0.0),
            QUIET,
            f"triple-ua.on_labelled={str(on_labelled).lower()}",
        )
        batch, first = self.batch(), 0 if on_labelled else 2
        terms = method(batch, Step(50, 100))
        found = self.student(method, batch.images)
        weight = 0.1 * math.exp(-5 * 0.5**2)
        for task, target in enumerate(method.targets(batch.images[first:])):
            student = found[task][first:].double().numpy()
            mean, certain = target.mean.double().numpy(), target.weight.double().numpy()
            total = 0.0
            for b, c, row, column in np.ndindex(*student.shape):
                w = certain[b, c if certain.shape[1] > 1 else 0, row, column]
                total += w * (student[b, c, row, column] - mean[b, c, row, column]) ** 2
            assert terms[f"consistency_{TASKS[task]}"].item() == pytest.approx(
                weight * total / student.size, rel=1e-3
            )

    def test_the_students_own_mask_teaches_the_reconstruction(
        self, small_data: PreparedData
    ) -> None:
        method = self.method(small_data, QUIET)
        batch = self.batch()
        terms = method(batch, Step(0, 100))
        p, r, _ = self.student(method, batch.images).values()
        mask = p.argmax(1) > 0
        total, count = 0.0, 0
        for b, row, column in np.ndindex(2, 32, 32):
            x = batch.images[2 + b, 0, row, column].item()
            inside = mask[2 + b, row, column].item()
            total += (r[2 + b, 0, row, column].item() - (x if inside else 0)) ** 2
            total += (r[2 + b, 1, row, column].item() - (0 if inside else x)) ** 2
            count += 2
        assert terms["mutual"].item() == pytest.approx(0.1 * total / count, rel=1e-3)
        method.zero_grad()
        terms["mutual"].backward()
        assert all(p.grad is None for p in method.student.decoder.parameters())

    def test_the_supervised_term_is_dice_alone(self, small_data: PreparedData) -> None:
        method = self.method(small_data, QUIET)
        batch = self.batch()
        p = self.student(method, batch.images)[0][:2].double().numpy()
        expected = 0.0
        for k in range(3):
            truth = (batch.labels == k).double().numpy()
            size = (p[:, k] ** 2).sum() + truth.sum()
            expected += (1 - 2 * (p[:, k] * truth).sum() / size) / 3
        term = method(batch, Step(50, 100))["supervised"].item()
        assert term == pytest.approx(expected, rel=1e-4)

    def test_the_reconstruction_sees_the_deepest_map_only(self, small_data: PreparedData) -> None:
        method = self.method(small_data)
        for task, depends in ((1, False), (2, True)):
            maps: list[Tensor] = []

            def encode(images: Tensor, maps: list[Tensor] = maps) -> list[Tensor]:
                encoded: list[Tensor] = method.student.encoder(images)
                maps[:] = [m.detach().requires_grad_() for m in encoded]
                return maps

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(method.student, "encode", encode)
                found = outputs(method.student, method.tasks, self.batch().images)
            found[task].square().sum().backward()
            assert maps[-1].grad is not None
            assert all((m.grad is not None) == depends for m in maps[:-1])

    @pytest.mark.parametrize("student", [True, False])
    def test_only_the_teacher_has_dropout(self, small_data: PreparedData, student: bool) -> None:
        method = self.method(
            small_data,
            self.dropout(0.5),
            QUIET,
            f"triple-ua.student_dropout={str(student).lower()}",
        )
        images = self.batch().images
        one, other = (self.student(method, images)[0] for _ in range(2))
        assert torch.equal(one, other) == (not student)
        assert not all((target.weight == 1).all() for target in method.targets(images)[1:])

    def test_the_student_sees_noise(self, small_data: PreparedData) -> None:
        method = self.method(small_data)
        seen: list[Tensor] = []
        method.student.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        batch = self.batch()
        method(batch, Step(50, 100))
        noise = seen[0] - batch.images
        assert float(noise.std()) == pytest.approx(0.02, rel=0.1)
        assert float(noise.abs().max()) <= 0.05 + 1e-6

    def test_the_teachers_decoders_follow(self, small_data: PreparedData) -> None:
        method = self.method(small_data)
        names = [n for n, p in method.named_parameters() if n.startswith("teacher")]
        assert any(n.startswith("teacher_tasks.decoders") for n in names)
        assert not any(p.requires_grad for n, p in method.named_parameters() if n in names)
        before = {n: p.clone() for n, p in method.teacher_tasks.named_parameters()}
        method.after_step(Step(3, 10))
        decay = min(1 - 1 / 4, 0.9)
        for name, p in method.teacher_tasks.named_parameters():
            student = method.tasks.get_parameter(name)
            torch.testing.assert_close(p, decay * before[name] + (1 - decay) * student)

    @pytest.mark.parametrize("absent", [1.0, 0.0])
    def test_the_distance_maps_come_from_the_loader(
        self, small_data: PreparedData, absent: float
    ) -> None:
        option = "outside" if absent else "boundary"
        method = self.method(small_data, QUIET, f"triple-ua.absent_classes={option}")
        batch = self.batch()
        batch.labels[0][batch.labels[0] == 2] = 0
        batch = self.as_batch(batch.images, batch.labels)
        assert batch.distance_maps is not None
        s = self.student(method, batch.images)[2]
        total = 0.0
        for b, k, row, column in np.ndindex(2, 2, 32, 32):
            target = batch.distance_maps[b, k, row, column].item()
            target = absent if (b, k) == (0, 1) else target
            total += (s[b, k, row, column].item() - target) ** 2
        found = method(batch, Step(50, 100))["distance"].item()
        assert found == pytest.approx(0.3 * total / (2 * 2 * 32 * 32), rel=1e-3)
        with pytest.raises(ValueError, match="no distance maps"):
            method(Batch(batch.images, batch.labels), Step(50, 100))

    def test_the_terms_that_start_late_are_named(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data, "triple-ua.consistency_from=0.25"))
        starts = method.active_from(100)
        assert starts == dict.fromkeys(CONSISTENCIES, 25)
        terms = method(self.batch(), Step(24, 100))
        assert {name for name, term in terms.items() if not term} == set(starts)
        assert all(method(self.batch(), Step(25, 100)).values())
        never = self.config(small_data, "triple-ua.consistency_weight=0")
        assert self.build(small_data, never).active_from(100) == {}

    def test_without_unlabelled_images(self, small_data: PreparedData) -> None:
        batch = self.batch(unlabelled=0)
        terms = self.method(small_data)(batch, Step(99, 100))
        assert set(terms) == SUPERVISED | CONSISTENCIES
        method = self.method(small_data, "triple-ua.on_labelled=false")
        assert set(method(batch, Step(99, 100))) == SUPERVISED


def test_stochastic_depth_is_removed_too() -> None:
    network = nn.Sequential(DropPath(0.5), nn.Dropout2d(0.5), nn.Dropout(0.5))
    remove_dropout(network)
    x = torch.randn(8, 3, 4, 4)
    assert torch.equal(network(x), x)
