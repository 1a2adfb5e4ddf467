"""``dct``: the conformance checks, agreement and diversity against loops, adversarial examples."""

import functools
import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.methods.base import Method, Step
from semiseg.methods.dct import gradient_sign_example
from semiseg.testing import MethodConformance

TERMS = {"supervised_unet", "supervised_unet-2", "agreement", "diversity"}
LATE = Step(99, 100)
PAIRS = (("unet", "unet-2"), ("unet-2", "unet"))


class TestDCTOnVolumes(MethodConformance):
    name = "dct"
    dimensions = 3
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.6558, 5: 1.49954, 10: 1.35931, 19: 1.28064}


class TestDCT(MethodConformance):
    name = "dct"
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 1.61773, 5: 1.15888, 10: 0.96337, 19: 0.86756}

    def probabilities(self, method: Method, images: Tensor, name: str) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = method.logits(images, name).double().softmax(1).numpy()
        return found

    def test_the_agreement_against_a_loop(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data)).eval()
        batch = self.batch()
        one, other = (self.probabilities(method, batch.images[2:], n) for n in ("unet", "unet-2"))
        losses = []
        for b, i, j in np.ndindex(2, *self.shape):
            p, q = one[b, :, i, j], other[b, :, i, j]
            h = [-sum(x * math.log(x) for x in of) for of in ((p + q) / 2, p, q)]
            losses.append(h[0] - (h[1] + h[2]) / 2)
        weight = 0.1 * math.exp(-5 * 0.7**2)
        found = method(batch, Step(30, 100))["agreement"].item()
        assert found == pytest.approx(weight * sum(losses) / len(losses), rel=1e-3)

    @pytest.mark.parametrize(
        ("ignored", "batch_norm"), [(False, "together"), (True, "together"), (False, "apart")]
    )
    def test_the_diversity_against_a_loop(
        self, small_data: PreparedData, ignored: bool, batch_norm: str
    ) -> None:
        """The other network sees a step against the label, or against the network's own argmax."""
        settings = (
            self.dropout(0.0), "dct.epsilon=0.1", "dct.diversity_weight=1",
            f"training.batch_norm={batch_norm}",
        )  # fmt: skip
        parts = (slice(0, 2), slice(2, 4)) if batch_norm == "apart" else (slice(0, 4),)
        method = self.build(small_data, self.config(small_data, *settings))
        batch = self.batch()
        if ignored:
            batch.labels[0] = IGNORE_INDEX
        expected = 0.0
        for name, other in PAIRS:
            images = batch.images.clone().requires_grad_()
            logits = torch.cat([method.logits(images[part], name) for part in parts])
            classes = logits.argmax(1)
            classes[:2] = torch.where(batch.labels == IGNORE_INDEX, classes[:2], batch.labels)
            clean = logits.double().softmax(1)
            total = torch.stack(
                [
                    -clean[b, int(classes[b, i, j]), i, j].log()
                    for b, i, j in np.ndindex(4, *self.shape)
                ]
            ).sum()
            total.backward()
            assert images.grad is not None
            example = images.detach() + 0.1 * images.grad.sign()
            answer = np.concatenate(
                [self.probabilities(method, example[part], other) for part in parts]
            )
            target = clean.detach().numpy()
            losses = [
                sum(target[at] * math.log(target[at] / answer[at]) for at in places)
                for b, i, j in np.ndindex(4, *self.shape)
                for places in [[(b, k, i, j) for k in range(3)]]
            ]
            expected += sum(losses) / len(losses)
        found = method(batch, LATE)["diversity"].item() / math.exp(-5 * 0.01**2)
        assert found == pytest.approx(expected, rel=1e-3)

    def test_each_network_has_two_passes(self, small_data: PreparedData) -> None:
        for settings, passes in (((), 2), (("dct.diversity_weight=0",), 1)):
            method = self.build(small_data, self.config(small_data, *settings))
            seen: list[str] = []
            for name in method.network_names:
                hook = functools.partial(_note, seen, name)
                getattr(method, name).encoder.register_forward_hook(hook)
            terms = method(self.batch(), LATE)
            assert sorted(seen) == sorted(passes * list(method.network_names))
            assert ("diversity" in terms) is (passes == 2)

    def test_an_example_deceives_its_own_network(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data, self.dropout(0.0)))
        images = self.batch().images.requires_grad_()
        logits = method.logits(images, "unet")
        target = logits.detach().argmax(1)
        example = gradient_sign_example(images, logits, target, 0.02)
        assert not example.requires_grad
        assert (example - images).abs().max().item() == pytest.approx(0.02, rel=1e-4)
        after = torch.nn.functional.cross_entropy(method.logits(example, "unet"), target)
        assert after > torch.nn.functional.cross_entropy(logits, target)
        assert all(p.grad is None for p in method.parameters())

    def test_both_terms_start_late(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data, "dct.consistency_from=0.5"))
        assert method.active_from(100) == {"agreement": 50, "diversity": 50}
        early = method(self.batch(), Step(49, 100))
        assert early["agreement"].item() == 0
        assert "diversity" not in early
        assert method(self.batch(), Step(50, 100))["diversity"].item() > 0

    def test_without_unlabelled_images_there_is_no_agreement(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = Batch(self.batch().images[:2], self.batch().labels)
        assert set(method(batch, LATE)) == TERMS - {"agreement"}


def _note(seen: list[str], name: str, *_: object) -> None:
    seen.append(name)
