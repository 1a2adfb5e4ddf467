"""``supervised``: the conformance checks, and that it uses labelled images only."""

from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.dice import supervised_loss
from semiseg.methods.base import Step
from semiseg.testing import MethodConformance
from semiseg.training.loop import batch_counts


class TestSupervisedOnVolumes(MethodConformance):
    name = "supervised"
    dimensions = 3
    terms: ClassVar[set[str]] = {"supervised"}
    golden: ClassVar[dict[int, float]] = {0: 0.84973, 5: 0.75339, 10: 0.68568, 19: 0.64342}


class TestDeepSupervision(MethodConformance):
    name = "supervised"
    settings = ("supervised.deep_supervision=2",)
    terms: ClassVar[set[str]] = {"supervised"}
    golden: ClassVar[dict[int, float]] = {0: 0.77441, 5: 0.6904, 10: 0.63359, 19: 0.59653}


class TestDeepSupervisionOnVolumes(MethodConformance):
    name = "supervised"
    dimensions = 3
    settings = ("supervised.deep_supervision=1",)
    terms: ClassVar[set[str]] = {"supervised"}
    golden: ClassVar[dict[int, float]] = {0: 0.83089, 5: 0.78848, 10: 0.7528, 19: 0.73041}


class TestSupervised(MethodConformance):
    name = "supervised"
    terms: ClassVar[set[str]] = {"supervised"}
    golden: ClassVar[dict[int, float]] = {0: 0.73633, 5: 0.52776, 10: 0.42741, 19: 0.38742}

    def test_the_loss_is_that_of_the_labelled_images(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data)).eval()
        batch = self.batch()
        other = Batch(batch.images.clone(), batch.labels)
        other.images[2:] = 1e9
        expected = supervised_loss(method.logits(batch.images[:2], "unet"), batch.labels)
        for given in (batch, other):
            torch.testing.assert_close(method(given, Step(0, 10))["supervised"], expected)

    @pytest.mark.parametrize("dice", ["true", "false"])
    def test_the_loss_is_that_of_the_pixels_that_are_not_ignored(
        self, small_data: PreparedData, dice: str
    ) -> None:
        """Whole rows are labelled, so the formula can be computed on the labelled part."""
        method = self.build(small_data, self.config(small_data, f"supervised.dice={dice}")).eval()
        batch = self.batch()
        logits = method.logits(batch.images[:2], "unet")[:, :, :20]
        labelled = batch.labels[:, :20].clone()
        batch.labels[:, 20:] = IGNORE_INDEX
        expected = (
            supervised_loss(logits, labelled)
            if dice == "true"
            else F.cross_entropy(logits, labelled)
        )
        found = method(batch, Step(0, 10))["supervised"]
        torch.testing.assert_close(found, expected)

    @pytest.mark.parametrize(("batch", "images"), [("whole", 4), ("labelled", 2)])
    def test_all_images_of_a_batch_are_labelled(
        self, small_data: PreparedData, batch: str, images: int
    ) -> None:
        config = self.config(small_data, f"supervised.batch={batch}")
        assert batch_counts(self.build(small_data, config), config) == (images, 0)
