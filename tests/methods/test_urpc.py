"""``urpc``: the conformance checks, outputs of all scales, their perturbation."""

import math
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.losses.dice import supervised_loss
from semiseg.losses.pyramid import Divergence, pyramid_consistency
from semiseg.methods.base import Step
from semiseg.testing import MethodConformance

TERMS = {"supervised", "consistency"}
LATE = Step(99, 100)
KINDS: tuple[Divergence, ...] = ("mean-to-scale", "scale-to-mean")


class TestURPCOnVolumes(MethodConformance):
    name = "urpc"
    dimensions = 3
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.82846, 5: 0.79455, 10: 0.76034, 19: 0.75115}

    def test_a_short_decoder_has_fewer_scales(self, data: PreparedData) -> None:
        method = self.build(data, self.config(data))
        assert method.scales == (1, 2)
        features = method.network.features(self.batch().images)
        assert [tuple(x.shape) for x in method.pyramid(features)] == [(4, 3, 8, 16, 16)] * 2


class TestURPC(MethodConformance):
    name = "urpc"
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.79275, 5: 0.78243, 10: 0.76458, 19: 0.74061}

    @pytest.mark.parametrize("divergence", KINDS)
    def test_the_terms_are_those_of_the_paper(
        self, small_data: PreparedData, divergence: Divergence
    ) -> None:
        config = self.config(small_data, f"urpc.divergence={divergence}")
        method = self.build(small_data, config).eval()
        with torch.no_grad():  # steep logits, for which the two divergences differ
            for head in (method.network.head, *method.heads.values()):
                head.weight.mul_(10)
        assert method.scales == (1, 2, 4, 8)
        batch = self.batch()
        terms = method(batch, LATE)
        features = method.network.features(batch.images)
        outputs = [method.network.head(features[1])]
        for scale in (2, 4, 8):
            small = method.heads[str(scale)](features[scale])
            assert small.shape[-1] == 32 // scale
            outputs.append(F.interpolate(small, (32, 32), mode="bilinear", align_corners=False))
        supervised = [supervised_loss(x[:2], batch.labels) for x in outputs]
        torch.testing.assert_close(terms["supervised"], sum(supervised) / 4)
        probabilities = [x[2:].softmax(1) for x in outputs]
        found = {kind: pyramid_consistency(probabilities, kind).item() for kind in KINDS}
        assert found["mean-to-scale"] != pytest.approx(found["scale-to-mean"], rel=0.01)
        expected = 0.1 * math.exp(-5 * 0.01**2) * found[divergence]
        assert terms["consistency"].item() == pytest.approx(expected, rel=1e-5, abs=0)

    @pytest.mark.parametrize("term", ["supervised", "consistency"])
    def test_every_scale_learns_from_both_terms(self, small_data: PreparedData, term: str) -> None:
        method = self.build(small_data, self.config(small_data))
        method(self.batch(), LATE)[term].backward()
        assert all(p.grad is not None for p in method.parameters())

    def test_maps_are_perturbed_in_training_only(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        features = method.network.features(self.batch().images)
        one, other = method.pyramid(features), method.pyramid(features)
        assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        method.eval()
        one, other = method.pyramid(features), method.pyramid(features)
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    def test_without_unlabelled_images_the_loss_is_supervised(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = Batch(self.batch().images[:2], self.batch().labels)
        assert set(method(batch, LATE)) == {"supervised"}
