"""``fixmatch``: the conformance checks, and its loss against the formula."""

from typing import ClassVar

import pytest
import torch

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.dice import supervised_loss
from semiseg.losses.pseudo_label import pseudo_label_dice
from semiseg.methods import fixmatch
from semiseg.methods.base import Step
from semiseg.methods.common.strong_view import View
from semiseg.testing import MethodConformance


class TestFixMatchOnVolumes(MethodConformance):
    name = "fixmatch"
    dimensions = 3
    settings = ("fixmatch.threshold=0.4",)  # so that a network that is not trained is confident
    terms: ClassVar[set[str]] = {"supervised", "strong"}
    golden: ClassVar[dict[int, float]] = {0: 0.67547, 5: 0.63438, 10: 0.61167, 19: 0.64071}


class TestFixMatch(MethodConformance):
    name = "fixmatch"
    settings = ("fixmatch.threshold=0.4",)
    terms: ClassVar[set[str]] = {"supervised", "strong"}
    golden: ClassVar[dict[int, float]] = {0: 0.58099, 5: 0.48258, 10: 0.42583, 19: 0.41355}

    def test_the_weak_view_teaches_the_strong_one(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both terms from plain passes; without batch norm, whose statistics depend on the batch."""
        monkeypatch.setattr(fixmatch, "strong_view", lambda x, y, *_: View(1 - x, y.flip(1)))
        config = self.config(small_data, self.dropout(0.0), "unet.norm=instance")
        method, batch = self.build(small_data, config), self.batch()
        terms = method(batch, Step(0, 100))
        with torch.no_grad():
            logits = method.network(batch.images)
            p = logits[2:].softmax(1)
            target = torch.where(p.amax(1) >= 0.4, p.argmax(1), IGNORE_INDEX).flip(1)
            strong = method.network(1 - batch.images[2:])
        assert 0 < int((target == IGNORE_INDEX).sum()) < target.numel()
        expected = 0.5 * pseudo_label_dice(strong, target)
        assert terms["strong"].item() == pytest.approx(expected.item(), rel=1e-4)
        supervised = 0.5 * supervised_loss(logits[:2], batch.labels)
        assert terms["supervised"].item() == pytest.approx(supervised.item(), rel=1e-4)

    def test_only_the_strong_view_has_a_gradient(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[View] = []

        def strong(images: torch.Tensor, pseudo_label: torch.Tensor, *_: object) -> View:
            assert not pseudo_label.requires_grad
            seen.append(View(images.detach().clone().requires_grad_(), pseudo_label))
            return seen[0]

        monkeypatch.setattr(fixmatch, "strong_view", strong)
        method, batch = self.build(small_data, self.config(small_data)), self.batch()
        batch.images.requires_grad_()
        method(batch, Step(0, 100))["strong"].backward()
        assert seen[0].images.grad is not None
        assert seen[0].images.grad.abs().max() > 0
        assert batch.images.grad is not None
        assert not batch.images.grad[2:].any()

    def test_without_confident_pixels_the_term_is_0(self, small_data: PreparedData) -> None:
        config = self.config(small_data, "fixmatch.threshold=1")
        terms = self.build(small_data, config)(self.batch(), Step(0, 100))
        assert terms["strong"].item() == 0

    def test_one_unlabelled_image_and_none(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        for unlabelled, terms in ((1, {"supervised", "strong"}), (0, {"supervised"})):
            batch = self.batch(unlabelled=unlabelled)
            found = method(batch, Step(0, 100))
            assert set(found) == terms
            assert all(torch.isfinite(x) for x in found.values())

    @pytest.mark.parametrize("channels", [1, 3])
    def test_colours_change_only_in_pictures(self, small_data: PreparedData, channels: int) -> None:
        """Channels of volumes are not colours."""
        config = self.config(
            small_data, "fixmatch.brightness=0", "fixmatch.contrast=0",
            "fixmatch.cutmix_probability=0", "fixmatch.blur_probability=0",
        )  # fmt: skip
        method = self.build(small_data, config)
        images, label = torch.rand(2, channels, 32, 32), torch.zeros(2, 32, 32).long()
        for kind in ("volumes", "pictures"):
            method.task = small_data.task.model_copy(update={"kind": kind, "channels": channels})
            torch.manual_seed(0)
            same = torch.allclose(method.view(images, label).images, images, atol=1e-4)
            assert same == (kind == "volumes" or channels == 1)

    def test_unlabelled_images_apart_do_not_change_running_averages(
        self, small_data: PreparedData
    ) -> None:
        config = self.config(small_data, self.dropout(0.0), "training.batch_norm=apart")
        states = []
        for unlabelled in (0, 2):
            method = self.build(small_data, config)
            images = self.batch().images[: 2 + unlabelled]
            method(Batch(images, self.batch().labels), Step(0, 100))
            states.append(dict(method.network.named_buffers()))
        for name, value in states[0].items():
            torch.testing.assert_close(states[1][name], value)
