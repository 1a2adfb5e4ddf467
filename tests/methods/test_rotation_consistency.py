"""``rotation-consistency``: the conformance checks, its loss against a loop, planes of volumes."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.losses.consistency import softmax_mse
from semiseg.methods.base import Step
from semiseg.testing import MethodConformance

TERMS = {"supervised", "consistency"}
MODULE = "semiseg.methods.rotation_consistency"
ROTATED = f"{MODULE}.draw_turns"


class TestRotationConsistencyOnVolumes(MethodConformance):
    name = "rotation-consistency"
    dimensions = 3
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.85184, 5: 0.74837, 10: 0.65582, 19: 0.61108}

    @pytest.mark.parametrize(
        ("setting", "quarter"),
        [
            ("data.patch=[8,16,16]", True),
            ("data.patch=[8,16,8]", False),
            ("data.spacing=[2,1,1.5]", False),
        ],
    )
    def test_only_square_planes_have_quarter_turns(
        self, data: PreparedData, setting: str, quarter: bool
    ) -> None:
        method = self.build(data, self.config(data, setting))
        assert method.quarter is quarter


class TestRotationConsistency(MethodConformance):
    name = "rotation-consistency"
    terms: ClassVar[set[str]] = TERMS
    golden: ClassVar[dict[int, float]] = {0: 0.73757, 5: 0.5131, 10: 0.42697, 19: 0.38769}

    def test_the_consistency_against_a_loop(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ROTATED, lambda *_: torch.tensor([1, 2]))
        method = self.build(small_data, self.config(small_data, self.dropout(0.0)))
        batch = self.batch()
        terms = method(batch, Step(30, 100))
        rotated = torch.stack([batch.images[2].rot90(1, (1, 2)), batch.images[3].rot90(2, (1, 2))])
        with torch.no_grad():
            p = method.network(batch.images)[2:].double().softmax(1).numpy()
            q = method.network(rotated).double().softmax(1).numpy()
        side, squares = self.shape[0], []
        for b, k, i, j in np.ndindex(*p.shape):
            # the pixel of the rotated image at which pixel (i, j) lies
            place = (side - 1 - j, i) if b == 0 else (side - 1 - i, side - 1 - j)
            squares.append((p[b, k, i, j] - q[(b, k, *place)]) ** 2)
        weight = 0.5 * 0.1 * math.exp(-5 * 0.7**2)
        expected = weight * sum(squares) / len(squares)
        assert terms["consistency"].item() == pytest.approx(expected, rel=1e-4)

    def test_the_gradient_is_that_of_detached_targets(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Public code: 0.5 [MSE(p, sg(q)) + MSE(sg(p), q)], where sg detaches."""

        def mutual(p: Tensor, q: Tensor) -> Tensor:
            return softmax_mse(p, q.detach()) + softmax_mse(p.detach(), q)

        gradients = []
        for error in (softmax_mse, mutual):
            monkeypatch.setattr(f"{MODULE}.softmax_mse", error)
            method = self.build(small_data, self.config(small_data, self.dropout(0.0)))
            method(self.batch(), Step(99, 100))["consistency"].backward()
            found = [p.grad for p in method.parameters() if p.grad is not None]
            gradients.append(torch.cat([g.flatten() for g in found]))
        torch.testing.assert_close(*gradients)

    def test_no_rotation_and_no_dropout_is_no_difference(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ROTATED, lambda *_: torch.zeros(2).long())
        more = (self.dropout(0.0), "training.batch_norm=apart")
        method = self.build(small_data, self.config(small_data, *more))
        value = method(self.batch(), Step(99, 100))["consistency"]
        assert value.item() == pytest.approx(0, abs=1e-10)

    def test_without_unlabelled_images_the_loss_is_supervised(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = Batch(self.batch().images[:2], self.batch().labels)
        assert set(method(batch, Step(99, 100))) == {"supervised"}
