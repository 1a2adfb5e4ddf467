"""``mcsc``: the conformance checks, the labels of the contrast, the paper's tables."""

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from semiseg import methods, presets
from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.losses.balanced_contrast import Variant, balanced_contrast
from semiseg.methods import mcsc
from semiseg.methods.base import Method, Step
from semiseg.methods.common.feature_scales import default_sides
from semiseg.testing import MethodConformance
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config
from semiseg.training.loop import seed_step

LABELLED_PHASE, LATE = Step(3, 100), Step(50, 100)
STUDIES = [
    (study, variant)
    for study in presets.study_names()
    if study.startswith("mcsc")
    for variant in presets.load_study(study)["variants"]
]


class Calls:
    """Records the arguments of the contrast and computes it."""

    def __init__(self) -> None:
        self.embeddings: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.masks: list[Tensor | None] = []
        self.variants: list[Variant] = []

    def __call__(self, embeddings: Tensor, labels: Tensor, classes: int, temperature: float,
                 mask: Tensor | None, variant: Variant) -> Tensor:  # fmt: skip
        self.embeddings.append(embeddings)
        self.labels.append(labels)
        self.masks.append(mask)
        self.variants.append(variant)
        return balanced_contrast(embeddings, labels, classes, temperature, mask, variant)

    def halves(self, call: int) -> list[set[int]]:
        """The classes used for the CNN's and the Transformer's features."""
        mask = self.masks[call]
        labels = self.labels[call]
        labels = labels if mask is None else torch.where(mask, labels, -1)
        return [set(half.unique().tolist()) - {-1} for half in labels.chunk(2, 1)]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    recorded = Calls()
    monkeypatch.setattr(mcsc, "balanced_contrast", recorded)
    return recorded


class TestMCSCOnVolumes(MethodConformance):
    name = "mcsc"
    dimensions = 3
    terms: ClassVar[set[str]] = {
        "supervised_unet", "supervised_vnet", "cross_unet", "cross_vnet",
        "contrast_1", "contrast_2",
    }  # fmt: skip
    golden: ClassVar[dict[int, float]] = {0: 1.9403, 5: 1.49495, 10: 1.36509, 19: 1.34269}


class TestMCSC(MethodConformance):
    name = "mcsc"
    terms: ClassVar[set[str]] = {
        "supervised_unet", "supervised_swin", "cross_unet", "cross_swin",
        "contrast_1", "contrast_8",
    }  # fmt: skip
    golden: ClassVar[dict[int, float]] = {0: 1.60216, 5: 1.30659, 10: 1.17285, 19: 1.1276}

    def always_predict(self, method: Method, cnn: int, transformer: int) -> None:
        """Make each network predict one class everywhere."""
        for network, code in ((method.network, cnn), (method.swin, transformer)):
            with torch.no_grad():
                network.head.weight.zero_()  # type: ignore[union-attr,operator]
                network.head.bias.copy_(torch.eye(3)[code])  # type: ignore[union-attr,operator]

    def test_the_labelled_phase_contrasts_half_the_maps(
        self, small_data: PreparedData, calls: Calls
    ) -> None:
        method = self.build(small_data, self.config(small_data, "mcsc.scales=[1, 4, 8]"))
        method(self.batch(), LABELLED_PHASE)
        method(self.batch(), LATE)
        # at 32: 11 x 11 tiles of 3, then tiles of 2 on 8 x 8 and on 4 x 4; 2 + 2 images, 2 networks
        shapes = [tuple(e.shape[:2]) for e in calls.embeddings]
        assert shapes == [
            (121, 4 * 9), (16, 4 * 4), (4, 4 * 4), (121, 8 * 9), (16, 8 * 4), (4, 8 * 4)
        ]  # fmt: skip
        assert calls.masks[0] is not None
        assert int(calls.masks[0].sum()) == 4 * 32 * 32

    def test_the_phase_ends_where_it_should(self, small_data: PreparedData, calls: Calls) -> None:
        method = self.build(small_data, self.config(small_data))
        for index in (2999, 3000):  # of the paper's 40,000
            method(self.batch(), Step(index, 40_000))
        assert [e.shape[1] for e in calls.embeddings] == [36, 16, 72, 32]
        absolute = self.config(small_data, "mcsc.labelled_contrast_until=7")
        active = self.build(small_data, absolute).active_from(100)
        assert active == {"cross": 0, "contrast on unlabelled images": 7}

    @pytest.mark.parametrize("crossed", [True, False])
    def test_pseudo_labels_are_crossed(
        self, small_data: PreparedData, calls: Calls, crossed: bool
    ) -> None:
        config = self.config(small_data, f"mcsc.cross_labels={str(crossed).lower()}")
        method = self.build(small_data, config)
        self.always_predict(method, cnn=1, transformer=2)
        truth_only = Batch(self.batch().images, torch.zeros(2, 32, 32, dtype=torch.long))
        method(truth_only, LATE)
        expected = [{0, 2}, {0, 1}] if crossed else [{0, 1}, {0, 2}]
        for call in range(2):
            assert calls.halves(call) == expected
        method(truth_only, LABELLED_PHASE)
        assert calls.halves(2) == calls.halves(3) == [{0}, {0}]

    def test_labels_stay_with_the_images_of_their_own_network(
        self, small_data: PreparedData, calls: Calls
    ) -> None:
        """Replaces features by their positions, so that labels can be looked up."""
        method = self.build(small_data, self.config(small_data, "mcsc.scales=[1]"))
        size = 32
        place = torch.arange(4 * size * size).reshape(4, 1, size, size).double()
        for projector in method.projectors.values():  # type: ignore[operator]
            projector.forward = lambda pixels, network: pixels
        guides = torch.randint(0, 3, (8, size, size))
        method._contrast({"unet": place, "swin": place + 4 * size * size}, guides, 1)  # type: ignore[operator]
        mask = calls.masks[0]
        assert mask is not None
        numbers = calls.embeddings[0][mask][:, 0].long()
        assert torch.equal(calls.labels[0][mask], guides.flatten()[numbers])
        assert torch.equal(numbers.sort().values, torch.arange(8 * size * size))

    def test_coarse_labels_are_the_nearest_of_the_fine_ones(
        self, small_data: PreparedData, calls: Calls
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        guides = torch.zeros(2, 32, 32, dtype=torch.long)
        guides[:, 4::8, 4::8] = 1  # the centres of cells, as 'nearest-exact' takes them
        features = {
            name: torch.rand(1, 8 * scale, 4, 4) for name, scale in (("unet", 1), ("swin", 2))
        }
        method._contrast(features, guides, 8)  # type: ignore[operator]
        assert (calls.labels[0] == 1).all()

    def test_the_contrast_is_weighted_and_summed_over_scales(
        self, small_data: PreparedData
    ) -> None:
        results = []
        for weight in (0.002, 1.0):
            config = self.config(small_data, f"mcsc.contrast_weight={weight}")
            method = self.build(small_data, config)
            seed_step(0, 0, 0)
            results.append(method(self.batch(), LATE))
        for scale in (1, 8):
            name = f"contrast_{scale}"
            torch.testing.assert_close(results[0][name], 0.002 * results[1][name])
            assert results[1][name].item() > 1
        assert results[0]["cross_unet"].item() == results[1]["cross_unet"].item()
        assert self.config(small_data).options["contrast_weight"] == 0.002

    def test_without_contrast_it_is_cross_teaching(self, small_data: PreparedData) -> None:
        config = self.config(small_data)
        method = self.build(small_data, config).eval()
        other = methods.entry("cross-teaching").load()(
            small_data.task,
            resolve_config(
                small_data.manifest, "cross-teaching", None, small_settings("cross-teaching")
            ).config,
        )
        shared = {k: v for k, v in method.state_dict().items() if not k.startswith("projectors")}
        other.load_state_dict(shared)
        terms, expected = method(self.batch(), LATE), other.eval()(self.batch(), LATE)
        for name, value in expected.items():
            torch.testing.assert_close(terms[name], value)

    def test_contrast_reaches_both_networks_and_not_their_heads(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        method(self.batch(), LATE)["contrast_1"].backward()
        for network in (method.network, method.swin):
            reached = {n: p.grad is not None for n, p in network.named_parameters()}  # type: ignore[union-attr]
            assert not reached["head.weight"]
            assert sum(reached.values()) > 0.9 * len(reached)

    def test_only_the_scales_in_use_are_trained(self, small_data: PreparedData) -> None:
        trained = {}
        for scales in ("[1, 8]", "[1, 4]"):
            method = self.build(small_data, self.config(small_data, f"mcsc.scales={scales}"))
            parameters = {id(p) for group in method.parameter_groups() for p in group.parameters}
            norm = method.get_parameter("swin.backbone.decoder.norm_eighth.weight")
            trained[scales] = id(norm) in parameters
        assert trained == {"[1, 8]": True, "[1, 4]": False}

    @pytest.mark.parametrize("remainder", ["pad", "offset", "drop"])
    def test_every_remainder_gives_finite_losses(
        self, small_data: PreparedData, remainder: str
    ) -> None:
        config = self.config(small_data, f"mcsc.remainder={remainder}", "mcsc.scales=[1, 4, 8]")
        method = self.build(small_data, config)
        for seed in range(3):
            torch.manual_seed(seed)
            terms = method(self.batch(), LATE)
            assert all(torch.isfinite(t) for t in terms.values())

    @pytest.mark.parametrize(
        "setting",
        ["mcsc.scales=[3]", "mcsc.scales=[]", "mcsc.scales=[1, 1]", "mcsc.patch_sides={3: 5}",
         "mcsc.patch_sides={1: 0}", "mcsc.temperature=0", "mcsc.colour=red"],
    )  # fmt: skip
    def test_wrong_options_are_refused_by_name(
        self, small_data: PreparedData, setting: str
    ) -> None:
        with pytest.raises(UserError, match=setting.split("=")[0].split(".")[1]):
            self.config(small_data, setting)

    def test_a_scale_that_the_networks_lack_is_refused(self, small_data: PreparedData) -> None:
        config = self.config(small_data, "swin.depths=[2, 2]")
        with pytest.raises(UserError, match=r"mcsc\.scales.*swin.*1/8"):
            self.build(small_data, config)


@pytest.mark.parametrize(
    ("size", "sides"),
    [(224, (19, 14, 14)), (128, (11, 8, 8)), (96, (8, 6, 6)), (256, (22, 16, 16))],
)
def test_default_sides(size: int, sides: tuple[int, int, int]) -> None:
    assert default_sides(size) == dict(zip((1, 4, 8), sides, strict=True))


@pytest.mark.parametrize(("study", "variant"), STUDIES)
def test_every_row_of_the_papers_tables_runs(
    small_data: PreparedData, calls: Calls, study: str, variant: str
) -> None:
    sections: dict[str, Any] = dict(presets.load_study(study)["variants"][variant])
    name = sections.pop("method")
    settings = small_settings(name)
    config: RunConfig = resolve_config(small_data.manifest, name, None, settings, sections).config
    method = methods.entry(name).load()(small_data.task, config)
    batch = MethodConformance().batch()
    for step in (LABELLED_PHASE, LATE):
        terms = method(batch, step)
        torch.stack(list(terms.values())).sum().backward()
        assert all(torch.isfinite(term) for term in terms.values())
    scales = config.options.get("scales", [])
    assert {t for t in terms if t.startswith("contrast")} == {f"contrast_{s}" for s in scales}
    if study == "mcsc-table3" and scales:
        balanced = "Balanced" in variant
        expected = Variant(balanced, balanced, "DB" in variant, False)
        assert set(calls.variants) == {expected}
        assert config.options["cross_labels"] is ("CroLab" in variant)
