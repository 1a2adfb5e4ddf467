"""``batformer``: the conformance checks, its loss, and what its windows follow."""

from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from semiseg import methods, networks
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.losses.class_fractions import class_fractions
from semiseg.losses.dice import dice_loss
from semiseg.methods.base import Step
from semiseg.networks.batformer import BATFormerDecoder
from semiseg.testing import MethodConformance
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config
from semiseg.training.loop import batch_counts
from semiseg.training.plan import describe, plan_training
from semiseg.training.run_folder import from_file_form, to_file_form


class TestBATFormer(MethodConformance):
    name = "batformer"
    terms: ClassVar[set[str]] = {"supervised", "deep_supervised"}
    golden: ClassVar[dict[int, float]] = {0: 1.3578, 5: 1.27914, 10: 1.22603, 19: 1.17758}

    def dropout(self, rate: float) -> str:
        return f"batformer.transformer_dropout={rate}"

    def test_the_loss_is_the_papers(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data, self.dropout(0.0))).eval()
        batch = self.batch()
        terms = method(batch, Step(0, 10))
        with torch.no_grad():
            features = method.network.features(batch.images[:2])
            outputs = (
                method.network.classify(features),
                method.head_full(features[1][:, :32]),
                method.head_half(features[2]),
                method.network.decoder.guide(features[4]),
            )
        losses = []
        for number, logits in enumerate(outputs):
            factor = 32 // logits.shape[-1]
            fractions, labels = class_fractions(batch.labels, 3, factor)
            p = logits.softmax(1)
            loss = F.cross_entropy(logits, labels) + dice_loss(p, labels, background=False)
            if number:
                loss = 0.5 * loss + 0.5 * F.smooth_l1_loss(p, fractions)
            losses.append(loss.item())
        assert [32 // x.shape[-1] for x in outputs] == [1, 1, 2, 4]
        assert terms["supervised"].item() == pytest.approx(0.6 * losses[0], rel=1e-4)
        deep = 0.2 * losses[1] + 0.1 * losses[2] + 0.1 * losses[3]
        assert terms["deep_supervised"].item() == pytest.approx(deep, rel=1e-4)

    def test_the_guide_learns_from_its_own_loss_only(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        terms = method(self.batch(), Step(0, 10))
        assert isinstance(method.network.decoder, BATFormerDecoder)
        guide = list(method.network.decoder.guide.parameters())  # type: ignore[union-attr]
        found = torch.autograd.grad(
            terms["supervised"], guide, retain_graph=True, allow_unused=True
        )
        assert found == (None, None)
        assert all(g.abs().max() > 0 for g in torch.autograd.grad(terms["deep_supervised"], guide))

    def test_unlabelled_images_have_no_influence(self, small_data: PreparedData) -> None:
        config = self.config(small_data, self.dropout(0.0))
        method = self.build(small_data, config)
        assert batch_counts(method, config) == (4, 0)
        batch = self.batch()
        other = Batch(batch.images.clone(), batch.labels)
        other.images[2:] = 1e9
        one, two = (method(given, Step(0, 10)) for given in (batch, other))
        assert all(torch.equal(term, two[name]) for name, term in one.items())


def test_the_section_holds_options_of_the_network_and_of_the_method(
    small_data: PreparedData,
) -> None:
    """The method and the network have one name. Another method takes only the network's options."""
    both = ["batformer.window=8", "batformer.fraction_weight=0.25"]
    config = resolve_config(small_data.manifest, "batformer", None, both).config
    assert config.options == {"output_weights": [0.6, 0.2, 0.1, 0.1], "fraction_weight": 0.25}
    assert config.networks["batformer"]["window"] == 8
    assert "fraction_weight" not in config.networks["batformer"]
    assert from_file_form(to_file_form(config)) == config
    own = ["supervised.network=batformer", both[0]]
    config = resolve_config(small_data.manifest, "supervised", None, own).config
    assert config.networks["batformer"]["window"] == 8
    assert from_file_form(to_file_form(config)) == config
    with pytest.raises(UserError, match=r"batformer\.fraction_weight is an option of batformer"):
        resolve_config(small_data.manifest, "supervised", None, [*own, both[1]])
    with pytest.raises(UserError, match=r"batformer\.windw"):
        resolve_config(small_data.manifest, "batformer", None, ["batformer.windw=8"])


def test_the_side_of_a_window_is_even(small_data: PreparedData) -> None:
    """A window covers whole pixels of the uncertainty, which has half the resolution."""
    with pytest.raises(UserError, match=r"batformer\.window must be a multiple of 2, got 7"):
        resolve_config(small_data.manifest, "batformer", None, ["batformer.window=7"])


def test_one_setting_of_dropout_serves_a_pair_with_a_unet(small_data: PreparedData) -> None:
    pair = ["cross-teaching.networks=[unet, batformer]", "networks.dropout=[0, 0, 0, 0, 0.3]"]
    config = resolve_config(small_data.manifest, "cross-teaching", None, pair).config
    assert config.networks["unet"]["dropout"] == [0, 0, 0, 0, 0.3]
    assert config.networks["batformer"]["transformer_dropout"] == 0.1


def test_a_presets_options_of_a_method_that_is_not_trained_are_left_out(
    small_data: PreparedData,
) -> None:
    section = {
        "batformer": {"fraction_weight": 0.1, "window": 8},
        "supervised": {"network": "batformer"},
    }
    found = resolve_config(small_data.manifest, "supervised", None, (), section)
    assert found.config.networks["batformer"]["window"] == 8
    assert "batformer.fraction_weight" not in found.origins


def test_the_plan_shows_options_of_both(small_data: PreparedData) -> None:
    settings = (*small_settings("batformer"), "batformer.fraction_weight=0.25")
    plan = plan_training(
        small_data, "batformer", "2", None, None, settings, torch.device("cpu")
    )  # fmt: skip
    lines = "\n".join(describe(plan))
    assert "batformer.fraction_weight = 0.25  (from --set)" in lines
    assert "batformer.channels = [8, 8, 8, 8, 8]  (from --set)" in lines


def test_options_of_the_method_and_of_the_network_have_different_names() -> None:
    for name in methods.table().keys() & networks.table().keys():
        options = methods.entry(name).load().Options.model_fields
        assert not options.keys() & networks.entry(name).config().model_fields.keys()
