"""``lclpl``: the conformance checks, its stages and its pseudo-labels."""

from typing import ClassVar

import pytest
import torch

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.losses.dice import dice_loss, supervised_loss
from semiseg.methods.base import Step
from semiseg.methods.lclpl import draw_partners
from semiseg.testing import MethodConformance


class TestLCLPL(MethodConformance):
    name = "lclpl"
    terms: ClassVar[set[str]] = {"supervised", "pseudo", "contrast"}
    golden: ClassVar[dict[int, float]] = {0: 0.4562, 5: 0.82146, 10: 0.73554, 19: 0.67387}
    overfit_steps = 60

    def test_stage_1_is_supervised_and_sees_no_unlabelled_image(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data, self.dropout(0.0)))
        assert method.active_from(20_000) == {"pseudo": 5000, "contrast": 5000}
        batch = self.batch()
        terms = method(batch, Step(4999, 20_000))
        batch.images[2:] = torch.nan
        again = method(batch, Step(4999, 20_000))
        assert set(terms) == {"supervised"}
        assert again["supervised"].item() == terms["supervised"].item()
        assert set(method(self.batch(), Step(5000, 20_000))) == self.terms

    def test_the_snapshot_is_refreshed_at_each_third_of_stage_2(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        assert method.refreshes(20_000) == {5000, 10_000, 15_000}  # type: ignore[operator]
        weight, guided = method.network.head.weight, method.guide.head.weight  # type: ignore[union-attr]
        for index, refreshed in ((7499, False), (10_000, True), (10_001, False), (15_000, True)):
            with torch.no_grad():
                weight += 1  # type: ignore[operator]
            method(self.batch(), Step(index, 20_000))
            assert torch.equal(guided, weight) == refreshed  # type: ignore[arg-type]

    @pytest.mark.parametrize("cross_entropy", [False, True])
    def test_the_segmentation_loss_uses_pseudo_labels_of_the_snapshot(
        self, small_data: PreparedData, cross_entropy: bool
    ) -> None:
        config = self.config(
            small_data, f"lclpl.cross_entropy={str(cross_entropy).lower()}", self.dropout(0.0)
        )
        method = self.build(small_data, config)
        self.steps(method, config, [self.batch()], 3)
        batch = self.batch()
        terms = method(batch, Step(99, 100))
        with torch.no_grad():
            method.guide.train()  # type: ignore[operator]
            pseudo = method.guide(batch.images[2:]).argmax(1)  # type: ignore[operator]
            logits = method.network(batch.images)
        for name, x, y in (
            ("supervised", logits[:2], batch.labels), ("pseudo", logits[2:], pseudo),
        ):  # fmt: skip
            expected = supervised_loss(x, y) if cross_entropy else dice_loss(x.softmax(1), y)
            assert terms[name].item() == pytest.approx(expected.item(), rel=1e-4)

    def test_the_guide_gets_no_gradient_and_a_weight_of_0_freezes_the_projector(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data, "lclpl.contrast_weight=0"))
        assert set(method(self.batch(), Step(99, 100))) == {"supervised", "pseudo"}
        names = {n.partition(".")[0] for n, p in method.named_parameters() if p.requires_grad}
        assert names == {"unet"}

    @pytest.mark.parametrize("batch_norm", ["apart", "together"])
    def test_the_projector_normalises_the_parts_as_the_network_does(
        self, small_data: PreparedData, batch_norm: str
    ) -> None:
        settings = (f"training.batch_norm={batch_norm}", self.dropout(0.0))
        averages = []
        for scale in (1, 100):
            method = self.build(small_data, self.config(small_data, *settings))
            batch = self.batch()
            batch.images[2:] *= scale
            assert set(method(batch, Step(99, 100))) == self.terms
            averages.append(method.projector[1].running_mean)  # type: ignore[index]
        assert torch.equal(*averages) == (batch_norm == "apart")

    @pytest.mark.parametrize(("labelled", "unlabelled"), [(1, 0), (2, 0), (1, 1)])
    def test_few_images(self, small_data: PreparedData, labelled: int, unlabelled: int) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = self.batch(labelled=labelled, unlabelled=unlabelled)
        terms = method(batch, Step(99, 100))
        assert all(torch.isfinite(x) for x in terms.values())
        assert ("pseudo" in terms) == (unlabelled > 0)
        batch = Batch(batch.images, torch.zeros_like(batch.labels))
        assert torch.isfinite(method(batch, Step(99, 100))["contrast"])


def test_a_partner_is_another_image() -> None:
    for count in (2, 3, 8):
        partners = draw_partners(torch.zeros(count, 1))
        assert partners is not None
        assert sorted(partners.tolist()) == list(range(count))
        assert not (partners == torch.arange(count)).any()
    assert draw_partners(torch.zeros(1, 1)) is None
