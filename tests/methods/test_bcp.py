"""``bcp``: the conformance checks, its stages, and its loss against the formula."""

from typing import ClassVar

import pytest
import torch

from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.dice import supervised_loss
from semiseg.methods import bcp
from semiseg.methods.base import Step
from semiseg.methods.bcp import halves, paired
from semiseg.testing import MethodConformance

FIRST, SECOND = Step(0, 100), Step(50, 100)


class TestBCPOnVolumes(MethodConformance):
    name = "bcp"
    dimensions = 3
    settings = ("bcp.ema_decay=0.9",)
    terms: ClassVar[set[str]] = {"supervised", "pseudo"}
    golden: ClassVar[dict[int, float]] = {0: 1.70837, 5: 2.18875, 10: 1.86261, 19: 1.78112}


class TestBCP(MethodConformance):
    name = "bcp"
    settings = ("bcp.ema_decay=0.9",)
    terms: ClassVar[set[str]] = {"supervised", "pseudo"}
    golden: ClassVar[dict[int, float]] = {0: 1.51364, 5: 1.60863, 10: 1.24905, 19: 1.23338}

    def part(self, logits: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> float:
        """0.5 (CE + Dice) over the pixels of a mask, from the pixels alone."""
        pixels = logits.double().movedim(1, -1)[mask].T[None]
        return supervised_loss(pixels, target[mask][None]).item()

    def fix_mask(self, method: bcp.BCP, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
        """The same box for all images."""
        mask = torch.ones(1, 32, 32, dtype=torch.bool)
        mask[:, 3:24, 8:29] = False
        monkeypatch.setattr(method, "mask", lambda count, images: mask.expand(count, 32, 32))
        return mask

    def test_the_second_stage_is_the_papers(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both directions with different images, from plain passes without batch norm."""
        config = self.config(small_data, self.dropout(0.0), "unet.norm=instance")
        method, batch = self.build(small_data, config), self.batch()
        assert isinstance(method, bcp.BCP)
        mask = self.fix_mask(method, monkeypatch)
        target = torch.randint(0, 3, (2, 32, 32), generator=torch.Generator().manual_seed(0))
        monkeypatch.setattr(method, "pseudo_label", lambda images: target)
        batch.labels[0, :5] = IGNORE_INDEX
        terms = method(batch, SECOND)
        (l0, l1), (u0, u1), labels = batch.images[:2], batch.images[2:], batch.labels
        with torch.no_grad():
            inward = method.student(torch.where(mask, l0, u0)[None])
            outward = method.student(torch.where(mask, u1, l1)[None])
        parts = [
            self.part(inward, labels[:1], mask), self.part(outward, labels[1:], ~mask),
            self.part(inward, target[:1], ~mask), self.part(outward, target[1:], mask),
        ]  # fmt: skip
        assert terms["supervised"].item() == pytest.approx(parts[0] + parts[1], rel=1e-4)
        assert terms["pseudo"].item() == pytest.approx(0.5 * (parts[2] + parts[3]), rel=1e-4)

    def test_the_first_stage_pastes_labelled_images_into_each_other(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = self.config(small_data, self.dropout(0.0), "unet.norm=instance")
        method, batch = self.build(small_data, config), self.batch()
        assert isinstance(method, bcp.BCP)
        mask = self.fix_mask(method, monkeypatch)
        terms = method(batch, FIRST)
        assert set(terms) == {"supervised"}
        with torch.no_grad():
            logits = method.student(torch.where(mask, batch.images[0], batch.images[1])[None])
        labels = batch.labels
        expected = self.part(logits, labels[:1], mask) + self.part(logits, labels[1:], ~mask)
        assert terms["supervised"].item() == pytest.approx(expected, rel=1e-4)
        batch.images[2:] = float("nan")  # unlabelled images are not used
        assert torch.isfinite(method(batch, FIRST)["supervised"])

    def test_the_teacher_begins_as_the_student_of_the_first_stage(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data, "bcp.ema_decay=0.99"))
        assert isinstance(method, bcp.BCP)
        before = {n: x.clone() for n, x in method.teacher.state_dict().items()}

        def change(amount: float) -> None:
            with torch.no_grad():
                for p in method.student.parameters():
                    p += amount

        change(1.0)
        method.after_step(Step(24, 100))
        assert all(torch.equal(x, before[n]) for n, x in method.teacher.state_dict().items())
        # the position 25 is skipped, and 30 repeats
        began = {n: x.clone() for n, x in method.student.named_parameters()}
        method(self.batch(), Step(30, 100, previous=24))
        change(1.0)
        method.after_step(Step(30, 100, previous=24))
        method(self.batch(), Step(30, 100, previous=30))
        for name, p in method.teacher.named_parameters():
            torch.testing.assert_close(p, began[name] + 0.01)
        assert method.active_from(40_000) == {"pseudo": 10_000}
        without = self.build(small_data, self.config(small_data, "bcp.pseudo_weight=0"))
        assert without.active_from(40_000) == {}

    def test_pseudo_labels_keep_the_largest_component(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        logits = torch.zeros(1, 3, 32, 32)
        logits[:, 0] = 1
        logits[:, 1, 2:8, 2:8] = logits[:, 1, 20:22, 20:22] = 5
        monkeypatch.setattr(bcp, "predict_probabilities", lambda *_: logits.softmax(1))
        for keep, pixels in ((True, 36), (False, 40)):
            config = self.config(small_data, f"bcp.largest_component={str(keep).lower()}")
            method = self.build(small_data, config)
            assert isinstance(method, bcp.BCP)
            label = method.pseudo_label(torch.zeros(1, 1, 32, 32))
            assert int((label == 1).sum()) == pixels

    @pytest.mark.parametrize(
        ("labelled", "unlabelled"), [(1, 1), (1, 4), (3, 2), (2, 5), (3, 3), (3, 0)]
    )
    def test_any_numbers_of_images(
        self, small_data: PreparedData, labelled: int, unlabelled: int
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = self.batch(labelled=labelled, unlabelled=unlabelled)
        for step in (FIRST, SECOND):
            terms = method(batch, step)
            late = step is SECOND and unlabelled > 0
            assert set(terms) == ({"supervised", "pseudo"} if late else {"supervised"})
            assert all(torch.isfinite(x) for x in terms.values())


def test_halves_and_pairs_use_every_image() -> None:
    cpu = torch.device("cpu")
    for first, second in ((1, 1), (2, 2), (3, 4), (2, 7), (5, 1)):
        one, other = halves(first, cpu), halves(second, cpu)
        pairs = [paired(a, b) for a, b in zip(one, other, strict=True)]
        assert all(len(a) == len(b) for a, b in pairs)
        assert set(torch.cat([a for a, _ in pairs]).tolist()) == set(range(first))
        assert set(torch.cat([b for _, b in pairs]).tolist()) == set(range(second))
        if first > 1:
            assert not set(one[0].tolist()) & set(one[1].tolist())
