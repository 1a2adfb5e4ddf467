"""``sassnet``: the conformance checks, and the game of discriminator and student."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Step
from semiseg.methods.sassnet import Discriminator, SASSNet
from semiseg.testing import MethodConformance
from semiseg.training.optimiser import build_optimisers

LATE = Step(99, 100)
SMALL = ("sassnet.discriminator_width=8", "sassnet.discriminator_dropout=0")


class TestSASSNetOnVolumes(MethodConformance):
    name = "sassnet"
    dimensions = 3
    settings = SMALL
    terms: ClassVar[set[str]] = {"supervised", "distance", "adversarial"}
    golden: ClassVar[dict[int, float]] = {0: 1.99789, 5: 1.94206, 10: 1.93183, 19: 1.9125}


class TestSASSNet(MethodConformance):
    name = "sassnet"
    settings = SMALL
    terms: ClassVar[set[str]] = {"supervised", "distance", "adversarial"}
    golden: ClassVar[dict[int, float]] = {0: 1.93863, 5: 1.81958, 10: 1.76379, 19: 1.73651}

    def sassnet(self, data: PreparedData, *settings: str) -> SASSNet:
        method = self.build(data, self.config(data, self.dropout(0.0), *settings))
        assert isinstance(method, SASSNet)
        return method

    def test_the_adversarial_loss_is_the_papers(self, small_data: PreparedData) -> None:
        method = self.sassnet(small_data)
        batch = self.batch(unlabelled=1)
        terms = method(batch, LATE)
        with torch.no_grad():
            _, distances = method.outputs(batch)
            d = method.discriminator(distances, batch.images).double().sigmoid().tolist()
        expected = -(np.log(d[0]) + np.log(d[1])) / 2 - np.log(1 - d[2])
        assert terms["adversarial"].item() == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("on_labelled", [True, False])
    def test_the_student_has_the_opposite_gradient_times_the_weight(
        self, small_data: PreparedData, on_labelled: bool
    ) -> None:
        method = self.sassnet(
            small_data, f"sassnet.adversarial_on_labelled={str(on_labelled).lower()}"
        )
        batch = self.batch()
        head = next(method.distance_head.parameters())
        other = next(method.discriminator.parameters())
        found = torch.autograd.grad(method(batch, LATE)["adversarial"], [head, other])
        _, distances = method.outputs(batch)
        if not on_labelled:
            distances = torch.cat([distances[:2].detach(), distances[2:]])
        d = method.discriminator(distances, batch.images).sigmoid()
        plain = -d[:2].log().mean() - (1 - d[2:]).log().mean()
        expected = torch.autograd.grad(plain, [head, other])
        weight = 0.01 * np.exp(-5 * (1 - 0.99) ** 2)
        torch.testing.assert_close(found[0], -weight * expected[0], rtol=1e-4, atol=1e-8)
        torch.testing.assert_close(found[1], expected[1], rtol=1e-4, atol=1e-7)

    def test_the_segmentation_head_has_no_adversarial_gradient(
        self, small_data: PreparedData
    ) -> None:
        method = self.sassnet(small_data)
        method(self.batch(), LATE)["adversarial"].backward()
        assert all(p.grad is None for p in method.network.head.parameters())
        assert all(p.grad is not None for p in method.network.encoder.parameters())

    def test_the_discriminator_has_its_own_optimiser(self, small_data: PreparedData) -> None:
        config = self.config(small_data, "sassnet.discriminator_learning_rate=0.0002")
        method = self.build(small_data, config)
        main, own = build_optimisers(method.parameter_groups(), config.training)
        assert isinstance(main, torch.optim.AdamW)
        assert type(own) is torch.optim.Adam
        (group,) = own.param_groups
        assert (group["base_lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.9, 0.99), 0)

    def test_without_unlabelled_images_there_is_no_adversary(
        self, small_data: PreparedData
    ) -> None:
        terms = self.sassnet(small_data)(self.batch(unlabelled=0), LATE)
        assert set(terms) == {"supervised", "distance"}


@pytest.mark.parametrize("sides", [(32, 32), (33, 50), (8, 16, 16), (1, 12, 20)])
def test_the_discriminator_takes_any_size(sides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(3, sides, width=4, dropout=0.5)
    maps, images = torch.randn(2, 2, *sides), torch.randn(2, 1, *sides)
    logits = discriminator(maps, images)
    assert logits.shape == (2,)
    assert torch.isfinite(logits).all()
    assert [m.out_channels for m in discriminator.body if hasattr(m, "out_channels")] == [
        4, 8, 16, 32,
    ]  # fmt: skip
