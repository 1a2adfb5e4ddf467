"""``cross-level``: the conformance checks, its stages, the regions of its cells, the size."""

from typing import ClassVar

import pytest
import torch

from semiseg import methods
from semiseg.config import Resolved, RunConfig
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.losses.cross_level import cross_level_consistency, cross_level_contrast
from semiseg.losses.dice import supervised_loss
from semiseg.methods.base import Step
from semiseg.methods.cross_level import CrossLevel, check_size, cut
from semiseg.testing import MethodConformance
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config

FIRST, SECOND = Step(10, 100), Step(90, 100)


class TestCrossLevel(MethodConformance):
    name = "cross-level"
    # joint stages, so that a late step has every term; the stages have tests of their own
    settings = ("cross-level.stages=joint", "unet.upsampling=transposed")
    terms: ClassVar[set[str]] = {"supervised", "contrast", "consistency"}
    golden: ClassVar[dict[int, float]] = {0: 1.90858, 5: 0.90365, 10: 0.62554, 19: 0.59105}

    def method(self, data: PreparedData, *more: str) -> CrossLevel:
        method = self.build(data, self.config(data, *more))
        assert isinstance(method, CrossLevel)
        return method

    def test_the_terms_are_those_of_the_paper(self, small_data: PreparedData) -> None:
        method = self.method(small_data, "cross-level.temperature=0.5").eval()
        batch = self.batch()
        terms = method(batch, SECOND)
        logits = method.network(batch.images)
        torch.testing.assert_close(terms["supervised"], supervised_loss(logits[:2], batch.labels))
        # each patch separately
        quarters = [(slice(i, i + 16), slice(j, j + 16)) for i in (0, 16) for j in (0, 16)]
        method.train()
        method.network.eval()
        for norm in method.network.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.train()
                norm.momentum = 0.0
        terms = method(batch, SECOND)
        # labelled and unlabelled images with their own statistics
        full = both(
            method.network.features(batch.images[:2]), method.network.features(batch.images[2:])
        )
        stack = torch.stack([batch.images[:, :, r, c] for r, c in quarters], 1).flatten(0, 1)
        local = method.network.features(stack)
        whole = method.network.classify(full).softmax(1)
        parts = method.network.classify(local).softmax(1).reshape(4, 4, 3, 16, 16)
        cells = torch.stack([whole[:, :, r, c] for r, c in quarters], 1)
        torch.testing.assert_close(terms["consistency"], cross_level_consistency(cells, parts))
        queries = method.projector.embed(full[1])
        keys = method.projector.embed(local[1]).reshape(4, 4, -1)
        torch.testing.assert_close(terms["contrast"], cross_level_contrast(queries, keys, 0.5))

    def test_an_embedding_sees_its_own_cell_and_no_other(self, small_data: PreparedData) -> None:
        projector = self.method(small_data).projector.eval()
        features = torch.rand(1, 8, 32, 32)
        changed = features.clone()
        changed[:, :, :16, 16:] += 1
        moved = (projector.embed(features) != projector.embed(changed)).any(-1)
        assert moved.tolist() == [[False, True, False, False]]
        assert projector.embed(features).shape == (1, 4, 8)
        torch.testing.assert_close(projector.embed(features).norm(dim=-1), torch.ones(1, 4))
        alone = projector.embed(cut(features, 2).flatten(0, 1))
        torch.testing.assert_close(alone[:, 0], projector.embed(features)[0])

    def test_the_stages(self, small_data: PreparedData) -> None:
        method = self.method(small_data, "cross-level.stages=two", "cross-level.first_stage=0.5")
        assert method.active_from(100) == {"consistency": 50}
        for index, second in ((0, "contrast"), (49, "contrast"), (50, "consistency")):
            assert set(method(self.batch(), Step(index, 100))) == {"supervised", second}

    @pytest.mark.parametrize("without", ["contrast", "consistency"])
    def test_a_term_is_left_out(self, small_data: PreparedData, without: str) -> None:
        method = self.method(small_data, f"cross-level.{without}_weight=0")
        assert set(method(self.batch(), SECOND)) == self.terms - {without}
        if without == "contrast":
            assert [g.name for g in method.parameter_groups()] == ["networks"]

    def test_weights(self, small_data: PreparedData) -> None:
        weights = ("cross-level.contrast_weight=3", "cross-level.consistency_weight=5")
        terms = []
        for more in ((), weights):
            torch.manual_seed(1)
            terms.append(self.method(small_data, "unet.dropout=[0, 0, 0, 0, 0]", *more)(
                self.batch(), SECOND))  # fmt: skip
        for name, factor in (("contrast", 3), ("consistency", 5), ("supervised", 1)):
            torch.testing.assert_close(terms[1][name], factor * terms[0][name])

    @pytest.mark.parametrize("side", ["both", "patches", "full"])
    def test_the_side_that_learns_from_the_consistency(
        self, small_data: PreparedData, side: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from semiseg.methods import cross_level

        seen = {}

        def record(full: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
            seen.update(full=full.requires_grad, patches=patches.requires_grad)
            return cross_level_consistency(full, patches)

        monkeypatch.setattr(cross_level, "cross_level_consistency", record)
        self.method(small_data, f"cross-level.gradient={side}")(self.batch(), SECOND)
        assert seen == {"full": side != "patches", "patches": side != "full"}

    def test_both_sides_learn_from_the_contrast(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from semiseg.methods import cross_level

        seen: list[torch.Tensor] = []

        def record(*arguments: torch.Tensor) -> torch.Tensor:
            seen.extend(arguments[:2])
            return cross_level_contrast(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(cross_level, "cross_level_contrast", record)
        method = self.method(small_data)
        term = method(self.batch(), SECOND)["contrast"]
        deepest = next(method.network.encoder.blocks[-1].parameters())  # type: ignore[union-attr, index]
        for side in seen:
            (of_term,) = torch.autograd.grad(term, side, retain_graph=True)
            (reached,) = torch.autograd.grad(side, deepest, of_term, retain_graph=True)
            assert reached.abs().max() > 0

    def test_only_labelled_full_images_reach_the_averages(self, small_data: PreparedData) -> None:
        quiet = "unet.dropout=[0, 0, 0, 0, 0]"
        counted, plain, other = (self.method(small_data, quiet).train() for _ in range(3))
        images = self.batch().images
        counted(self.batch(), SECOND)
        full = both(plain.network.features(images[:2]), other.network.features(images[2:]))
        plain.projector.embed(full[1])
        for name, value in plain.named_buffers():
            torch.testing.assert_close(dict(counted.named_buffers())[name], value)
        assert all(m.training for m in counted.modules())

    def test_labels_teach_as_if_there_were_no_unlabelled_images(
        self, small_data: PreparedData
    ) -> None:
        """Without its terms the method must equal the supervised U-Net."""
        batch = self.batch()
        others = Batch(batch.images.clone(), batch.labels)
        others.images[2:] = others.images[2:].flip(-1) ** 2
        alike = {}
        for name in ("apart", "together"):
            terms = [
                self.method(small_data, f"training.batch_norm={name}").train()(given, SECOND)
                for given in (batch, others)
            ]
            alike[name] = bool(terms[0]["supervised"] == terms[1]["supervised"])
            assert terms[0]["contrast"] != terms[1]["contrast"]
        assert alike == {"apart": True, "together": False}

    def test_without_terms_it_is_a_u_net(self, small_data: PreparedData) -> None:
        none = ("cross-level.contrast_weight=0", "cross-level.consistency_weight=0")
        method, plain = (self.method(small_data, *none).train() for _ in range(2))
        batch = self.batch()
        terms = method(batch, SECOND)
        expected = supervised_loss(plain.network(batch.images[:2]), batch.labels)
        assert set(terms) == {"supervised"}
        torch.testing.assert_close(terms["supervised"], expected)
        for name, value in plain.named_buffers():
            torch.testing.assert_close(dict(method.named_buffers())[name], value)

    def test_drawn_negatives_and_negatives_from_patches(self, small_data: PreparedData) -> None:
        quiet = "unet.dropout=[0, 0, 0, 0, 0]"
        losses = {
            self.method(small_data, quiet, more)(self.batch(), SECOND)["contrast"].item()
            for more in ("cross-level.negatives=3", "cross-level.negatives=1",
                         "cross-level.negatives_from=patches")
        }  # fmt: skip
        assert len(losses) == 3


def both(
    labelled: dict[int, torch.Tensor], unlabelled: dict[int, torch.Tensor]
) -> dict[int, torch.Tensor]:
    """The maps of two passes for one batch."""
    return {key: torch.cat([labelled[key], unlabelled[key]]) for key in labelled}


def binary(data: PreparedData, *more: str) -> CrossLevel:
    task = data.task.model_copy(update={"classes": ("background", "polyp")})
    config: RunConfig = resolve_config(
        data.manifest.model_copy(update={"task": task}),
        "cross-level",
        None,
        (*small_settings("cross-level"), *more),
    ).config
    torch.manual_seed(0)
    method = methods.entry("cross-level").load()(task, config)
    assert isinstance(method, CrossLevel)
    return method


def test_two_classes_are_one_sigmoid_channel(small_data: PreparedData) -> None:
    method = binary(small_data, "unet.sigmoid=true").eval()
    images = torch.rand(3, 1, 32, 32)
    z = method.network.head(method.network.features(images)[1])
    assert z.shape == (3, 1, 32, 32)
    probabilities = method.logits(images, "unet").softmax(1)
    torch.testing.assert_close(probabilities[:, 1:], z.sigmoid())


@pytest.mark.parametrize("sigmoid", ["true", "false"])
def test_the_loss_of_two_classes_scores_the_foreground(
    small_data: PreparedData, sigmoid: str
) -> None:
    method = binary(small_data, f"unet.sigmoid={sigmoid}").eval()
    labels = torch.randint(0, 2, (2, 32, 32))
    batch = Batch(torch.rand(4, 1, 32, 32), labels)
    p = method.logits(batch.images, "unet").softmax(1)[:2, 1]
    y = labels.float()
    dice = 1 - (2 * (p * y).sum() + 1e-5) / (p.square().sum() + y.sum() + 1e-5)
    cross_entropy = torch.nn.functional.binary_cross_entropy(p, y)
    torch.testing.assert_close(method(batch, FIRST)["supervised"], 0.5 * (dice + cross_entropy))


def test_a_cell_is_a_part_of_the_image() -> None:
    x = torch.arange(2 * 36.0).reshape(2, 1, 6, 6)
    cells = cut(x, 3)
    assert cells.shape == (2, 9, 1, 2, 2)
    assert torch.equal(cells[1, 5, 0], x[1, 0, 2:4, 4:6])


@pytest.mark.parametrize(("size", "n"), [(320, 5), (160, 5), (96, 6), (96, 3), (64, 2)])
def test_sizes_that_fit(size: int, n: int) -> None:
    check_size(size, n)


def test_deeper_networks_need_larger_patches() -> None:
    check_size(192, 6, coarsest=32)
    with pytest.raises(UserError, match=r"multiple of 32 pixels: use 192, or"):
        check_size(96, 6, coarsest=32)


@pytest.mark.parametrize(("size", "n", "words"), [
    (256, 5, "use 240 or 320, or cross-level.patches=2, 4, 8 or 16."),
    (48, 5, "use 80, or cross-level.patches=3."),
    (100, 5, "use 80 or 160."),
])  # fmt: skip
def test_a_size_that_does_not_fit_says_what_does(size: int, n: int, words: str) -> None:
    with pytest.raises(UserError, match=rf"{size} pixels .* cannot be cut into {n} x {n}") as error:
        check_size(size, n)
    assert str(error.value).endswith(words)


def test_patches_of_one_pixel_at_the_bottom_need_batch_norm(small_data: PreparedData) -> None:
    def build(size: int) -> CrossLevel:
        settings = (*small_settings("cross-level"), "unet.norm=instance", f"data.size={size}")
        return CrossLevel(
            small_data.task,
            resolve_config(small_data.manifest, "cross-level", None, settings).config,
        )

    with pytest.raises(UserError, match=r"patches of 16 pixels.*unet\.norm=batch"):
        build(32)
    terms = build(64)(Batch(torch.rand(2, 1, 64, 64), torch.zeros(1, 64, 64).long()), SECOND)
    assert all(torch.isfinite(term) for term in terms.values())


def dropout(resolved: Resolved) -> list[float]:
    values: list[float] = resolved.config.networks["unet"]["dropout"]
    return values


@pytest.mark.parametrize("preset", [None, "mcsc-cpu", "cross-level-cpu"])
def test_there_is_no_dropout_unless_it_is_asked_for(
    small_data: PreparedData, preset: str | None
) -> None:
    data = small_data.manifest
    assert not any(dropout(resolve_config(data, "cross-level", preset)))
    asked = "unet.dropout=[0, 0, 0, 0, 0.5]"
    assert dropout(resolve_config(data, "cross-level", preset, [asked]))[-1] == 0.5
    if preset is None:
        found = resolve_config(data, "cross-level", preset)
        assert found.origins["unet.dropout"] == "the method cross-level"
        assert all(dropout(resolve_config(data, "supervised", preset)))


@pytest.mark.parametrize("name", ["cross-level-kvasir", "cross-level-isic2018"])
def test_presets_say_what_is_printed(small_data: PreparedData, name: str) -> None:
    task = small_data.task.model_copy(update={"channels": 3})
    config = resolve_config(
        small_data.manifest.model_copy(update={"task": task}), None, name
    ).config
    t, o = config.training, config.options
    assert (config.method, config.data.size, o["patches"]) == ("cross-level", 320, 5)
    assert (t.batch_size, t.labelled_batch_size, t.epochs) == (8, 4, 300)
    assert (t.optimiser, t.learning_rate, t.weight_decay) == ("adamw", 1e-3, 1e-2)
    assert (t.schedule, round(300 * t.warmup), round(300 * o["first_stage"])) == (
        "cosine",
        100,
        100,
    )
    assert (o["contrast_weight"], o["consistency_weight"], o["stages"]) == (1, 1, "two")
    unet = config.networks["unet"]
    assert (o["temperature"], unet["head_kernel"], unet["sigmoid"]) == (0.07, 1, True)
    assert (unet["standardise"], unet["upsampling"]) == ("imagenet", "transposed")
