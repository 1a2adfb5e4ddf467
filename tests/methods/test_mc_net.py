"""``mc-net`` and ``mc-net+``: the conformance checks, the losses, and which decoder has which gradient."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from semiseg import methods
from semiseg.console import Quiet
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Step
from semiseg.methods.mc_net import MCNet
from semiseg.testing import MethodConformance
from semiseg.testing.data import small_settings
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.train import train


class TestMCNetOnVolumes(MethodConformance):
    name = "mc-net"
    dimensions = 3
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.51632, 5: 0.49853, 10: 0.4867, 19: 0.49117}


class TestMCNetPlusOnVolumes(MethodConformance):
    name = "mc-net+"
    dimensions = 3
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.77446, 5: 0.73698, 10: 0.73756, 19: 0.7704}

    def test_a_v_net_has_decoders_of_one_kind(self, data: PreparedData) -> None:
        method = self.build(data, self.config(data, "mc-net+.network=vnet"))
        assert isinstance(method, MCNet)
        first, second = (
            torch.cat([p.flatten() for p in decoder.parameters()])
            for decoder in method.auxiliary.decoders
        )
        assert first.shape == second.shape
        assert not torch.equal(first, second)
        terms = method(self.batch(), Step(99, 100))
        assert all(torch.isfinite(term) for term in terms.values())


class TestMCNet(MethodConformance):
    name = "mc-net"
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.50517, 5: 0.45473, 10: 0.41727, 19: 0.40252}

    def test_the_loss_is_the_papers(self, small_data: PreparedData) -> None:
        """Dice of each decoder and both directions of the consistency, with loops in float64."""
        method = self.build(small_data, self.config(small_data, self.dropout(0.0)))
        batch = self.batch()
        terms = method(batch, Step(99, 100))
        assert isinstance(method, MCNet)
        with torch.no_grad():
            p = [x.double().softmax(1).numpy() for x in method.all_logits(batch)]
        assert len(p) == 2
        dice = 0.0
        for prediction in p:
            for k in range(3):
                overlap = size = 0.0
                for b, row, column in np.ndindex(2, 32, 32):
                    value, truth = prediction[b, k, row, column], batch.labels[b, row, column] == k
                    overlap += value * float(truth)
                    size += value**2 + float(truth)
                dice += (1 - (2 * overlap + 1e-5) / (size + 1e-5)) / 3
        assert terms["supervised"].item() == pytest.approx(0.5 * dice, rel=1e-4)
        squares = 0.0
        for i, j in ((0, 1), (1, 0)):
            for at in np.ndindex(*p[0].shape):
                q = p[j][at] ** 10 / (p[j][at] ** 10 + (1 - p[j][at]) ** 10)
                squares += (p[i][at] - q) ** 2 / p[0].size
        weight = 0.1 * np.exp(-5 * (1 - 0.99) ** 2)
        assert terms["consistency"].item() == pytest.approx(weight * squares, rel=1e-4)

    @pytest.mark.parametrize("detach", [False, True])
    def test_targets_have_a_gradient_unless_detached(
        self, small_data: PreparedData, detach: bool
    ) -> None:
        """The consistency's gradient with and without the targets' part."""
        gradients = []
        for flag in (detach, True):
            config = self.config(small_data, f"mc-net.detach_targets={str(flag).lower()}")
            method = self.build(small_data, config)
            torch.manual_seed(0)
            method(self.batch(), Step(99, 100))["consistency"].backward()
            gradients.append([p.grad for p in method.parameters() if p.grad is not None])
        same = all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
        assert same == detach

    def test_sharpening_over_all_classes_is_an_option(self, small_data: PreparedData) -> None:
        found = []
        for flag in ("false", "true"):
            config = self.config(
                small_data, f"mc-net.joint_sharpening={flag}", self.dropout(0.0)
            )  # fmt: skip
            method = self.build(small_data, config)
            found.append(method(self.batch(), Step(99, 100))["consistency"].item())
        assert found[0] != pytest.approx(found[1], rel=1e-3)

    def test_the_decoders_differ_in_their_upsampling(self, small_data: PreparedData) -> None:
        for own in ("bilinear", "transposed"):
            method = self.build(small_data, self.config(small_data, f"unet.upsampling={own}"))
            assert isinstance(method, MCNet)
            kinds = [
                any(isinstance(m, nn.ConvTranspose2d) for m in decoder.modules())
                for decoder in (method.network.decoder, *method.auxiliary.decoders)
            ]
            assert kinds == [own == "transposed", own != "transposed"]

    def test_batch_norm_together_is_one_pass(self, small_data: PreparedData) -> None:
        found = []
        for mode in ("apart", "together"):
            config = self.config(small_data, f"training.batch_norm={mode}", self.dropout(0.0))
            method = self.build(small_data, config)
            method(self.batch(), Step(99, 100))
            found.append({n: x for n, x in method.named_buffers() if "running_mean" in n})
        assert any(name.startswith("auxiliary.decoders") for name in found[0])
        assert any(not torch.equal(x, found[1][name]) for name, x in found[0].items())

    def test_without_unlabelled_images_the_consistency_is_of_labelled_ones(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        batch = self.batch(unlabelled=0)
        terms = method(Batch(batch.images, batch.labels), Step(99, 100))
        assert torch.isfinite(terms["consistency"])
        assert terms["consistency"].item() > 0


class TestMCNetPlus(MethodConformance):
    name = "mc-net+"
    terms: ClassVar[set[str]] = {"supervised", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 0.72057, 5: 0.62632, 10: 0.59595, 19: 0.60252}

    def test_there_are_three_kinds_of_decoders(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        assert isinstance(method, MCNet)
        kinds = [
            {m.mode for m in decoder.modules() if isinstance(m, nn.Upsample)}
            for decoder in (method.network.decoder, *method.auxiliary.decoders)
        ]
        assert kinds == [{"bilinear"}, set(), {"nearest"}]
        assert len(method.all_logits(self.batch())) == 3

    @pytest.mark.parametrize("network", ["unet", "swin"])
    def test_other_networks(self, small_data: PreparedData, network: str) -> None:
        config = self.config(small_data, f"mc-net+.network={network}")
        method = self.build(small_data, config)
        assert method.network_names == (network,)
        terms = method(self.batch(), Step(99, 100))
        assert all(torch.isfinite(term) for term in terms.values())


def test_the_plus_sign_is_a_usual_part_of_the_name(
    small_data: PreparedData, tmp_path: Path
) -> None:
    out = tmp_path / "mc-net+"
    settings = (*small_settings("mc-net+"), "mc-net+.temperature=0.2", "training.iterations=2")
    train(
        small_data.folder, out, seconds=0, method="mc-net+", labelled="2", settings=settings,
        console=Quiet(), threads=1,
    )  # fmt: skip
    config = RunFolder(out).config()
    assert config.method == "mc-net+"
    assert config.options["temperature"] == 0.2
    assert methods.entry("mc-net+").load().Options is methods.entry("mc-net").load().Options
