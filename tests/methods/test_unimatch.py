"""``unimatch``: the conformance checks, and its loss against the formula."""

from typing import ClassVar

import pytest
import torch

from autocast_cache import emulate_old_cache
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.pseudo_label import pseudo_label_dice
from semiseg.methods import fixmatch, unimatch
from semiseg.methods.base import Step
from semiseg.methods.common.strong_view import View
from semiseg.testing import MethodConformance


class TestUniMatchOnVolumes(MethodConformance):
    name = "unimatch"
    dimensions = 3
    overfit_steps = 60
    settings = ("unimatch.threshold=0.4",)  # so that a network that is not trained is confident
    terms: ClassVar[set[str]] = {"supervised", "strong", "feature"}
    golden: ClassVar[dict[int, float]] = {0: 0.68215, 5: 0.65262, 10: 0.62395, 19: 0.60547}


class TestUniMatch(MethodConformance):
    name = "unimatch"
    settings = ("unimatch.threshold=0.4",)
    terms: ClassVar[set[str]] = {"supervised", "strong", "feature"}
    golden: ClassVar[dict[int, float]] = {0: 0.56016, 5: 0.47515, 10: 0.43194, 19: 0.42181}

    def test_the_streams_are_those_of_the_paper(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """0.5 (0.25 s1 + 0.25 s2 + 0.5 feature), from plain passes without batch norm."""
        count = iter((0.5, 0.25))
        monkeypatch.setattr(fixmatch, "strong_view", lambda x, y, *_: View(x * next(count), y))
        monkeypatch.setattr(unimatch, "drop_channels", lambda maps, _: [m * 0.5 for m in maps])
        config = self.config(small_data, self.dropout(0.0), "unet.norm=instance")
        method, batch = self.build(small_data, config), self.batch()
        terms = method(batch, Step(0, 100))
        unlabelled, network = batch.images[2:], method.network
        with torch.no_grad():
            p = network(unlabelled).softmax(1)
            target = torch.where(p.amax(1) >= 0.4, p.argmax(1), IGNORE_INDEX)
            views = [pseudo_label_dice(network(unlabelled * f), target) for f in (0.5, 0.25)]
            maps = [0.5 * m for m in network.encode(unlabelled)]
            feature = pseudo_label_dice(network.classify(network.decode(maps)), target)
        expected = 0.5 * (0.25 * views[0] + 0.25 * views[1])
        assert terms["strong"].item() == pytest.approx(expected.item(), rel=1e-4)
        assert terms["feature"].item() == pytest.approx(0.25 * feature.item(), rel=1e-4)

    def test_all_encoder_maps_lose_half_of_their_channels(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        seen = []
        drop = unimatch.drop_channels

        def watch(maps: list[torch.Tensor], probability: float) -> list[torch.Tensor]:
            seen.extend(drop(maps, probability))
            return seen

        monkeypatch.setattr(unimatch, "drop_channels", watch)
        weak, feature = method.weak_and_feature(self.batch().images)
        assert not weak.requires_grad
        assert feature.requires_grad
        assert len(seen) == 5
        dropped = torch.cat([(m == 0).flatten(2).all(2).flatten() for m in seen])
        assert float(dropped.float().mean()) == pytest.approx(0.5, abs=0.15)

    def test_the_two_views_are_drawn_independently(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        images, label = torch.rand(4, 1, 32, 32), torch.zeros(4, 32, 32).long()
        first, second = (method.view(images, label).images for _ in range(2))
        assert not torch.equal(first, second)

    def test_one_unlabelled_image_and_none(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        for unlabelled, terms in ((1, self.terms), (0, {"supervised"})):
            found = method(self.batch(unlabelled=unlabelled), Step(0, 100))
            assert set(found) == terms
            assert all(torch.isfinite(x) for x in found.values())

    def test_mixed_precision_with_an_older_torch(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The clean maps are decoded without a gradient, then the perturbed ones with one."""
        emulate_old_cache(monkeypatch)
        self.test_mixed_precision_reaches_the_same_parameters(small_data)
