"""``ad-mt``: the conformance checks, its periods, its fusion, and its loss against the formula."""

import math
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from semiseg.data.manifest import PreparedData
from semiseg.losses.pseudo_label import pseudo_label_dice
from semiseg.methods import ad_mt
from semiseg.methods.ad_mt import fuse, period_ends, resolve_conflicts
from semiseg.methods.base import Step
from semiseg.methods.common.pseudo_label import confident_pseudo_label
from semiseg.testing import MethodConformance

# both teachers learn in a short run, and a network that is not trained is confident
SMALL = ("ad-mt.period=5", "ad-mt.ema_decay=0.9", "ad-mt.threshold=0.4")


class TestADMTOnVolumes(MethodConformance):
    name = "ad-mt"
    dimensions = 3
    settings = SMALL
    overfit_steps = 60
    terms: ClassVar[set[str]] = {"supervised", "pseudo"}
    golden: ClassVar[dict[int, float]] = {0: 0.8672, 5: 0.80704, 10: 0.91762, 19: 1.60379}


class TestADMT(MethodConformance):
    name = "ad-mt"
    settings = SMALL
    terms: ClassVar[set[str]] = {"supervised", "pseudo"}
    golden: ClassVar[dict[int, float]] = {0: 0.73383, 5: 0.58048, 10: 0.62984, 19: 1.1517}

    def method(self, data: PreparedData, *more: str) -> ad_mt.ADMT:
        method = self.build(data, self.config(data, *more))
        assert isinstance(method, ad_mt.ADMT)
        return method

    def test_the_student_updates_the_teachers_in_turn(self, small_data: PreparedData) -> None:
        method, total = self.method(small_data), 60
        ends = method.period_ends(total)
        for index in range(total):
            with torch.no_grad():
                for p in method.student.parameters():
                    p += 0.01
            before = [
                [p.clone() for p in t.parameters()] for t in (method.teacher_1, method.teacher_2)
            ]
            method.after_step(Step(index, total))
            active = sum(index >= end for end in ends) % 2
            assert method.active(Step(index, total)) == active
            changed = [
                not all(torch.equal(p, q) for p, q in zip(t.parameters(), old, strict=True))
                for t, old in zip((method.teacher_1, method.teacher_2), before, strict=True)
            ]
            assert changed == [active == 0, active == 1]

    def test_the_second_teacher_begins_as_the_student_also_if_positions_skip(
        self, small_data: PreparedData
    ) -> None:
        method = self.method(small_data, "ad-mt.period=50")
        ends = method.period_ends(1000)
        with torch.no_grad():
            for p in method.student.parameters():
                p += 1
        # its first period is skipped altogether
        method.after_step(Step(ends[1] + 1, 1000, previous=ends[0] - 1))
        for p, q in zip(method.teacher_2.parameters(), method.student.parameters(), strict=True):
            assert torch.equal(p, q)
        assert not torch.equal(next(method.teacher_1.parameters()), p)

    def test_each_teachers_periods_have_their_augmentation(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        method, total = self.method(small_data), 100
        calls: list[str] = []
        for name in ("colour_view", "cutmix"):
            piece = getattr(ad_mt, name)
            monkeypatch.setattr(
                ad_mt, name, lambda *a, name=name, piece=piece: (calls.append(name), piece(*a))[1]
            )
        for index in range(0, 30, 3):
            method(self.batch(), Step(index, total))
            method(self.batch(), Step(index, total, previous=index))  # repeated position
            assert calls[-2:] == 2 * [("colour_view", "cutmix")[method.active(Step(index, total))]]
        assert set(calls) == {"colour_view", "cutmix"}

    @pytest.mark.parametrize("late", [False, True])
    def test_the_pseudo_term_is_the_papers(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch, late: bool
    ) -> None:
        """2 exp(-5 (1 - t/T)^2) Dice, from plain passes without batch norm; early, teacher 1 labels alone."""
        monkeypatch.setattr(ad_mt, "colour_view", lambda x, *_: 1 - x)
        method = self.method(small_data, self.dropout(0.0), "unet.norm=instance")
        batch, step = self.batch(), Step(method.period_ends(100)[1] if late else 1, 100)
        with torch.no_grad():
            for scale, teacher in zip((0.5, 2), (method.teacher_1, method.teacher_2), strict=True):
                teacher.head.weight *= scale
            unlabelled = batch.images[2:]
            first, second, student = (
                n(unlabelled).softmax(1)
                for n in (method.teacher_1, method.teacher_2, method.student)
            )
            fused = resolve_conflicts(first, second, student) if late else first
            strong = method.student(1 - unlabelled)
        target = confident_pseudo_label(fused, 0.4)
        weight = 2 * math.exp(-5 * (1 - step.fraction) ** 2)
        expected = weight * pseudo_label_dice(strong, target).item()
        assert method.active(step) == 0
        assert method(batch, step)["pseudo"].item() == pytest.approx(expected, rel=1e-4)

    def test_the_second_teacher_is_used_after_its_first_update(
        self, small_data: PreparedData
    ) -> None:
        method = self.method(small_data)
        start = method.period_ends(100)[0]
        used = [method.has_second(Step(index, 100)) for index in range(100)]
        assert used == [index > start for index in range(100)]
        # with a time limit, positions skip and repeat
        assert not method.has_second(Step(start + 2, 100, previous=start - 1))
        assert not method.has_second(Step(start - 1, 100, previous=start - 1))
        for previous in (start, start + 1):
            assert method.has_second(Step(start + 1, 100, previous=previous))
        assert method.has_second(Step(start, 100, previous=start))

    def test_resuming_after_the_second_teachers_first_update(
        self, small_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Interrupted after 3 steps, from the checkpoint of 2; both teachers label from step 2 on."""
        monkeypatch.setattr(type(self), "settings", ("ad-mt.period=1", *SMALL[1:]))
        method = self.method(small_data)
        assert [method.has_second(Step(i, 5)) for i in range(5)] == [False, False, True, True, True]
        self.test_resumed_equals_uninterrupted_bit_for_bit(small_data, tmp_path)

    def test_one_unlabelled_image_and_none(self, small_data: PreparedData) -> None:
        method = self.method(small_data)
        for unlabelled, terms in ((1, self.terms), (0, {"supervised"})):
            for index in range(0, 40, 4):
                found = method(self.batch(unlabelled=unlabelled), Step(index, 100))
                assert set(found) == terms
                assert all(torch.isfinite(x) for x in found.values())


def test_periods_are_random_and_reproducible() -> None:
    for total, period in ((30_000, 50), (7, 1), (1, 50), (1000, 3)):
        ends = period_ends(total, period, 4)
        assert ends[-1] >= total
        lengths = [b - a for a, b in zip((0, *ends), ends, strict=False)]
        assert min(lengths) >= max(period / 2, 1)
        assert max(lengths) <= 1.5 * period
        period_ends.cache_clear()
        assert period_ends(total, period, 4) == ends
    many = period_ends(100_000, 50, 0)
    assert many[999] / 1000 == pytest.approx(50, rel=0.03)
    assert many != period_ends(100_000, 50, 1)


def case() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.randn(3, 2, 3, 6, 7, generator=generator, dtype=torch.float64)
    p, q, student = x.softmax(2)
    return p, q, student


def test_fusion_and_conflicts_against_a_loop() -> None:
    p, q, student = case()
    fused, found = fuse(p, q), resolve_conflicts(p, q, student)
    taken = {"fused": 0, "first": 0, "second": 0, "student": 0}
    for b in range(2):
        for r in range(6):
            for c in range(7):
                one, other, own = (x[b, :, r, c].tolist() for x in (p, q, student))
                w, v = (math.exp(sum(a * math.log(a) for a in x)) for x in (one, other))
                mean = [(w * x + v * y) / (w + v) for x, y in zip(one, other, strict=True)]
                assert fused[b, :, r, c].tolist() == pytest.approx(mean, rel=1e-12)
                conflict = one.index(max(one)) != other.index(max(other))
                three = {"first": one, "second": other, "student": own}
                most = max(three, key=lambda name: max(three[name])) if conflict else "fused"
                taken[most] += 1
                expected = {**three, "fused": mean}[most]
                assert found[b, :, r, c].tolist() == pytest.approx(expected, rel=1e-12)
    assert min(taken.values()) > 5


def test_at_a_conflict_a_confident_teacher_decides() -> None:
    """The fused prediction is not confident there."""
    sure, unsure, student = (
        torch.tensor([x, 1 - x]).view(1, 2, 1, 1) for x in (0.99, 0.45, 0.6)
    )  # fmt: skip
    assert fuse(sure, unsure).amax() < 5 / 6
    for p, q in ((sure, unsure), (unsure, sure)):
        assert confident_pseudo_label(resolve_conflicts(p, q, student), 0.95).item() == 0
        assert torch.equal(resolve_conflicts(p, q, student), sure)


def test_certain_predictions_fuse_to_finite_probabilities() -> None:
    certain = torch.eye(3)[:, :, None, None]
    uniform = torch.full_like(certain, 1 / 3)
    for p in (certain, uniform):
        for q in (certain, uniform, certain.flip(0)):
            fused = fuse(p, q)
            assert torch.isfinite(fused).all()
            torch.testing.assert_close(fused.sum(1), torch.ones(3, 1, 1))
    assert fuse(certain, uniform).amax() > 0.8  # the certain one weighs more
