"""``tcsm``: the conformance checks, and its loss against a loop."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods import tcsm
from semiseg.methods.base import Step
from semiseg.testing import MethodConformance
from teacher_checks import LateTeacher

QUARTER_TURN = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])  # as draw_transforms has it


class TestTCSMOnVolumes(MethodConformance):
    name = "tcsm"
    dimensions = 3
    settings = ("tcsm.ema_decay=0.9",)
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.84277, 5: 0.75172, 10: 0.66546, 19: 0.62575}

    @pytest.mark.parametrize(
        ("setting", "quarter"),
        [
            ("data.patch=[8,16,16]", True),
            ("data.patch=[8,16,8]", False),
            ("data.spacing=[2,1,1.5]", False),
        ],
    )
    def test_only_square_planes_have_quarter_turns(
        self, data: PreparedData, setting: str, quarter: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        method = self.build(data, self.config(data, setting))
        drawn = []

        def note(count: int, device: torch.device, quarter: bool, scales: object) -> Tensor:
            drawn.append(quarter)
            return QUARTER_TURN.expand(count, 2, 3)

        monkeypatch.setattr(tcsm, "draw_transforms", note)
        method(self.batch(), Step(99, 100))
        assert drawn == [quarter]


class TestTCSM(LateTeacher, MethodConformance):
    name = "tcsm"
    settings = ("tcsm.ema_decay=0.9",)
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.74448, 5: 0.51327, 10: 0.43352, 19: 0.39382}

    @pytest.mark.parametrize("on_labelled", [True, False])
    def test_the_consistency_is_the_papers(
        self, small_data: PreparedData, on_labelled: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A loop over pixels in float64: a quarter turn, and half the size on the middle pixels."""
        first = 0 if on_labelled else 2
        scales = torch.ones(4 - first)
        scales[-1] = 0.5

        def fixed(count: int, *_: object) -> Tensor:
            assert count == 4 - first
            return QUARTER_TURN / scales[:, None, None]

        monkeypatch.setattr(tcsm, "draw_transforms", fixed)
        config = self.config(
            small_data, f"tcsm.on_labelled={str(on_labelled).lower()}", self.dropout(0.0),
            "training.batch_norm=apart",
        )  # fmt: skip
        method = self.build(small_data, config)
        batch = self.batch()
        self.steps(method, config, [batch], 5)  # so that the teacher differs from the student
        terms = method(batch, Step(50, 100))
        images, side = batch.images[first:], self.shape[0]
        quarter = side // 4

        def turned(x: Tensor) -> Tensor:
            x = torch.rot90(x, 1, (-2, -1)).clone()
            small = torch.nn.functional.avg_pool2d(x[-1:], 2)  # half the size
            x[-1] = 0
            x[-1, :, quarter:-quarter, quarter:-quarter] = small[0]
            return x

        with torch.no_grad():
            student = method.logits(turned(images), "student").double().softmax(1).numpy()
            method.teacher.train()
            target = turned(method.logits(images, "teacher").double().softmax(1)).numpy()
        total, count = 0.0, 0
        for image, row, column in np.ndindex(len(images), side, side):
            outside = min(row, column) < quarter or max(row, column) >= side - quarter
            if image == len(images) - 1 and outside:
                continue
            count += 1
            total += sum((student[image, :, row, column] - target[image, :, row, column]) ** 2)
        expected = math.exp(-5 * 0.5**2) * total / (3 * count)
        assert terms["consistency"].item() == pytest.approx(expected, rel=1e-3)

    def test_labelled_images_are_not_transformed_for_their_loss(
        self, small_data: PreparedData
    ) -> None:
        config = self.config(
            small_data, self.dropout(0.0), "training.batch_norm=apart", "tcsm.on_labelled=false"
        )
        method = self.build(small_data, config)
        batch = self.batch()
        alone = method(Batch(batch.images[:2], batch.labels), Step(99, 100))
        assert set(alone) == {"supervised"}
        both = method(batch, Step(99, 100))
        torch.testing.assert_close(both["supervised"], alone["supervised"])

    def test_without_unlabelled_images_labelled_ones_are_consistent(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = Batch(self.batch().images[:2], self.batch().labels)
        terms = method(batch, Step(99, 100))
        assert set(terms) == {"supervised", "consistency"}
        assert terms["consistency"].item() > 0
