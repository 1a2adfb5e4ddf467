"""``gbdl``: the conformance checks, its two stages and its generative model."""

import math
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.dice import dice_loss
from semiseg.losses.gbdl import latent_divergence, soft_dice_loss
from semiseg.losses.ignore import cross_entropy
from semiseg.methods.base import Step
from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.common.generative import Generator
from semiseg.methods.gbdl import GBDL
from semiseg.testing import MethodConformance
from semiseg.testing.case import total
from semiseg.testing.conformance import gradients_are_finite

EARLY, LATE = Step(0, 100), Step(99, 100)
STAGE_1 = {"supervised", "reconstruction", "divergence"}


class Stages(MethodConformance):
    name = "gbdl"
    settings = ("gbdl.latent=8", "gbdl.samples=2")
    overfit_steps = 80  # the network for inference trains in the second half

    def test_terms_are_named_and_finite(self, data: PreparedData) -> None:
        """Each stage has its own terms."""
        method = self.build(data, self.config(data))
        for step, names in ((EARLY, STAGE_1), (Step(49, 100), STAGE_1), (LATE, self.terms)):
            terms = method(self.batch(), step)
            assert all(term.ndim == 0 and torch.isfinite(term) for term in terms.values())
            assert set(terms) == names

    def test_gradients_reach_every_trainable_parameter_and_no_other(
        self, data: PreparedData
    ) -> None:
        """Each stage trains its own networks, so this looks at both."""
        method = self.build(data, self.config(data))
        parameters = dict(method.named_parameters())
        trained = []
        for step in (EARLY, LATE):
            method.zero_grad()
            total(method(self.batch(), step)).backward()
            gradients = {n: p.grad for n, p in parameters.items() if p.grad is not None}
            assert gradients_are_finite(method)
            # a bias before a normalisation has none; most weights must have some
            moved = sum(bool(g.abs().max() > 0) for g in gradients.values())
            assert moved > 0.8 * len(gradients)
            trained.append(set(gradients))
        assert trained[0] == {n for n in parameters if n.startswith("generator.")}
        assert trained[1] == {n for n in parameters if not n.startswith("generator.")}
        assert all(p.requires_grad for p in parameters.values())
        grouped = [id(p) for group in method.parameter_groups() for p in group.parameters]
        assert sorted(grouped) == sorted(id(p) for p in parameters.values())

    def test_degenerate_batches_in_stage_1(self, data: PreparedData) -> None:
        method = self.build(data, self.config(data))
        flat = Batch(torch.zeros(4, 1, *self.shape), torch.zeros(2, *self.shape).long())
        ignored = self.batch()
        ignored.labels.fill_(IGNORE_INDEX)
        for batch in (flat, ignored, self.batch(labelled=1, unlabelled=0)):
            terms = method(batch, EARLY)
            total(terms).backward()
            assert all(torch.isfinite(x) for x in terms.values())
            assert gradients_are_finite(method)


class TestGBDLOnVolumes(Stages):
    dimensions = 3
    terms: ClassVar[set[str]] = {"supervised", "pseudo"}
    golden: ClassVar[dict[int, float]] = {0: 2.53118, 5: 2.11201, 10: 1.71888, 19: 1.55685}


class TestGBDL(Stages):
    terms: ClassVar[set[str]] = {"supervised", "pseudo"}
    golden: ClassVar[dict[int, float]] = {0: 2.65901, 5: 1.12545, 10: 1.78541, 19: 1.08569}

    def test_stage_1_is_the_evidence_lower_bound(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = self.batch()
        assert isinstance(method, GBDL)
        assert method.active_from(1000) == {"pseudo": 500}
        torch.manual_seed(3)
        terms = method(batch, EARLY)
        torch.manual_seed(3)
        found = method.generator(batch.images)
        logits = found.logits[:2]
        dice = dice_loss(logits.softmax(1), batch.labels, background=False)
        expected = {
            "supervised": cross_entropy(logits, batch.labels) + 2 * dice,
            "reconstruction": (found.images - batch.images).square().mean(),
            "divergence": 0.005 * latent_divergence(found.mean, found.vector, 1.0),
        }
        for name, value in expected.items():
            assert terms[name].item() == pytest.approx(value.item(), rel=1e-5)

    def test_stage_2_learns_from_the_mean_of_generated_labels(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data, self.dropout(0.0)))
        assert isinstance(method, GBDL)
        batch = self.batch(unlabelled=1)
        before = {n: x.clone() for n, x in method.generator.state_dict().items()}
        torch.manual_seed(3)
        terms = method(batch, LATE)
        assert all(torch.equal(x, before[n]) for n, x in method.generator.state_dict().items())
        torch.manual_seed(3)
        with torch.no_grad():
            logits = method.network(batch.images)
            with frozen_pass(method.generator):
                target = method.generator.mean_label(batch.images[2:], 2)
        loss = F.cross_entropy(logits[2:], target.argmax(1)) + 2 * soft_dice_loss(
            logits[2:].softmax(1), target, background=False
        )
        assert terms["pseudo"].item() == pytest.approx(loss.item() / 3, rel=1e-4)
        dice = dice_loss(logits[:2].softmax(1), batch.labels, background=False)
        loss = cross_entropy(logits[:2], batch.labels) + 2 * dice
        assert terms["supervised"].item() == pytest.approx(2 / 3 * loss.item(), rel=1e-4)

    def test_parts_are_normalised_apart_on_request(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data, "training.batch_norm=apart"))
        batch = self.batch()
        terms = method(batch, EARLY)
        batch.images[2:] = 100 * torch.randn_like(batch.images[2:])
        # dropout is off and the latent is drawn for labelled images first
        torch.manual_seed(0)
        first = method(batch, EARLY)["supervised"].item()
        torch.manual_seed(0)
        batch.images[2:] = 0
        assert method(batch, EARLY)["supervised"].item() == first
        assert set(terms) == STAGE_1

    def test_without_unlabelled_images(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = Batch(self.batch().images[:1], self.batch().labels[:1])
        assert set(method(batch, LATE)) == {"supervised"}

    def generator(self, data: PreparedData, *more: str) -> Generator:
        method = self.build(data, self.config(data, *more))
        assert isinstance(method, GBDL)
        return method.generator

    def test_samples_have_the_stated_covariance(self, small_data: PreparedData) -> None:
        generator = self.generator(small_data)
        torch.manual_seed(0)
        mean, vector = torch.randn(2, 1, 2, 3)
        drawn = generator.sample(mean.repeat(200_000, 1, 1), vector.repeat(200_000, 1, 1))
        for n in range(2):
            root = torch.outer(vector[0, n], vector[0, n]) + math.sqrt(2) * torch.eye(3)
            torch.testing.assert_close(drawn[:, n].mean(0), mean[0, n], rtol=0, atol=0.05)
            torch.testing.assert_close(drawn[:, n].T.cov(), root @ root, rtol=0.03, atol=0.05)

    def test_the_latent_reaches_image_and_label(self, small_data: PreparedData) -> None:
        generator = self.generator(small_data, self.dropout(0.5)).eval()
        images = self.batch().images
        with torch.no_grad():
            one, other = generator(images), generator(images)
        assert torch.equal(one.mean, other.mean)  # the encoders have no dropout
        assert not torch.equal(one.logits, other.logits)
        assert not torch.equal(one.images, other.images)
        assert one.images.shape == images.shape
        assert one.mean.shape == one.vector.shape == (4, 1, 8)

    @pytest.mark.parametrize("network", ["unet", "swin"])
    def test_its_networks_have_no_dropout_and_no_stochastic_depth(
        self, small_data: PreparedData, network: str
    ) -> None:
        settings = (f"gbdl.network={network}", self.dropout(0.5), "swin.drop_path=0.5")
        generator = self.generator(small_data, *settings).train()
        images = self.batch().images
        with torch.no_grad():
            assert torch.equal(generator(images).mean, generator(images).mean)

    def test_its_networks_follow_the_rate_and_the_warmup_of_their_section(
        self, small_data: PreparedData
    ) -> None:
        settings = ("unet.learning_rate_scale=0.5", "unet.warmup=0.1")
        method = self.build(small_data, self.config(small_data, *settings))
        assert isinstance(method, GBDL)
        groups = {group.name: group for group in method.parameter_groups()}
        scales = {name: (group.lr_scale, group.warmup) for name, group in groups.items()}
        own = (0.5, 0.1)
        assert scales == {
            "networks": (1, 0), "unet": own, "generator_images": own, "generator_labels": own
        }  # fmt: skip
        grouped = [id(p) for group in groups.values() for p in group.parameters]
        assert sorted(grouped) == sorted(id(p) for p in method.parameters())
        for name, stream in (
            ("images", method.generator.images),
            ("labels", method.generator.labels),
        ):
            assert groups[f"generator_{name}"].parameters == list(stream.parameters())
