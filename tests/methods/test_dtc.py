"""``dtc``: the conformance checks, its loss against plain loops, and who has a gradient."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.methods.base import Step
from semiseg.methods.dtc import DTC
from semiseg.testing import MethodConformance

LATE = Step(99, 100)


class TestDTCOnVolumes(MethodConformance):
    name = "dtc"
    dimensions = 3
    settings = ("dtc.steepness=50",)  # with 1500, rounding changes the golden curve after ten steps
    terms: ClassVar[set[str]] = {"supervised", "distance", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.6104, 5: 0.5652, 10: 0.59813, 19: 0.69465}


class TestDTC(MethodConformance):
    name = "dtc"
    terms: ClassVar[set[str]] = {"supervised", "distance", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.5539, 3: 0.47287, 5: 0.44603}  # k = 1500: see above

    def test_the_loss_is_the_papers(self, small_data: PreparedData) -> None:
        """Loops in float64; half of an image is not annotated, and a class is absent."""
        settings = ("dtc.steepness=20", self.dropout(0.0))  # 1500 would hide errors by saturation
        method = self.build(small_data, self.config(small_data, *settings))
        assert isinstance(method, DTC)
        batch = self.batch()
        batch.labels[0][batch.labels[0] == 2] = 0
        batch.labels[1, :16] = IGNORE_INDEX
        batch = self.as_batch(batch.images, batch.labels)
        terms = method(batch, LATE)
        with torch.no_grad():
            outputs = method.outputs(batch)
        p, s = (x.double().numpy() for x in outputs)
        assert batch.distance_maps is not None
        maps = batch.distance_maps.double().numpy()
        labels = batch.labels.numpy()
        dice, errors, agreement = 0.0, [], []
        for k in (1, 2):
            overlap = size = 0.0
            for b, row, column in np.ndindex(*labels.shape):
                if labels[b, row, column] == IGNORE_INDEX:
                    continue
                value, truth = p[b, k, row, column], float(labels[b, row, column] == k)
                overlap += value * truth
                size += value**2 + truth
                absent = not (labels[b] == k).any()
                target = 1.0 if absent else maps[b, k - 1, row, column]
                errors.append((s[b, k - 1, row, column] - target) ** 2)
            dice += (1 - (2 * overlap + 1e-5) / (size + 1e-5)) / 2
            for b, row, column in np.ndindex(4, 32, 32):
                step = 1 / (1 + np.exp(20 * s[b, k - 1, row, column]))
                agreement.append((step - p[b, k, row, column]) ** 2)
        assert terms["supervised"].item() == pytest.approx(dice, rel=1e-4)
        assert terms["distance"].item() == pytest.approx(0.3 * np.mean(errors), rel=1e-4)
        weight = np.exp(-5 * (1 - 0.99) ** 2)
        assert terms["consistency"].item() == pytest.approx(weight * np.mean(agreement), rel=1e-4)

    def test_an_absent_class_may_have_a_map_of_zeros(self, small_data: PreparedData) -> None:
        found = []
        for absent in ("outside", "boundary"):
            config = self.config(small_data, f"dtc.absent_classes={absent}", self.dropout(0.0))
            method = self.build(small_data, config)
            images = self.batch().images
            batch = self.as_batch(images, torch.zeros(2, 32, 32, dtype=torch.long))
            found.append(method(batch, LATE)["distance"].item())
        assert found[0] > 2 * found[1]  # an untrained head predicts about 0

    def test_both_heads_have_the_gradient_of_the_consistency(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        assert isinstance(method, DTC)
        method(self.batch(), LATE)["consistency"].backward()
        for head in (method.network.head, method.distance_head):
            gradient = next(head.parameters()).grad
            assert gradient is not None
            assert gradient.abs().max() > 0

    def test_without_unlabelled_images(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = self.batch(unlabelled=0)
        terms = method(batch, LATE)
        assert set(terms) == self.terms
        assert all(torch.isfinite(term) for term in terms.values())

    def test_a_batch_without_maps_is_an_error(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = self.batch()
        with pytest.raises(ValueError, match="no distance maps"):
            method(Batch(batch.images, batch.labels), LATE)
