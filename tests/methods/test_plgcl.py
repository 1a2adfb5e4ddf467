"""``plgcl``: the conformance checks, its patches against loops, its schedule and its teacher."""

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from semiseg import presets
from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX, Intensity
from semiseg.errors import UserError
from semiseg.losses.plgcl import binary_entropy, gaussian_contrast, nearest
from semiseg.methods import plgcl
from semiseg.methods.base import Step
from semiseg.methods.common.batch_norm import batch_statistics
from semiseg.methods.common.pseudo_label import predict_probabilities
from semiseg.methods.plgcl import PLGCL, Windows, check_size, distances
from semiseg.networks.unet import UNet, UNetConfig
from semiseg.testing import MethodConformance
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config

LATE = Step(99, 100)
QUIET = "unet.dropout=[0, 0, 0, 0, 0]"


def keep_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Record the arguments of equation 5."""
    calls: list[tuple[Any, ...]] = []

    def record(*arguments: Any) -> Tensor:
        calls.append(arguments)
        return gaussian_contrast(*arguments)

    monkeypatch.setattr(plgcl, "gaussian_contrast", record)
    return calls


def keep_windows(method: PLGCL, monkeypatch: pytest.MonkeyPatch) -> list[Windows]:
    """Record the patches that ``method`` draws."""
    windows: list[Windows] = []
    make = method._windows

    def keep(batch: Batch) -> Windows:
        windows.append(make(batch))
        return windows[-1]

    monkeypatch.setattr(method, "_windows", keep)
    return windows


class TestPLGCL(MethodConformance):
    name = "plgcl"
    terms: ClassVar[set[str]] = {"supervised", "regularisation", "plgcl"}
    # the contrast starts at step 3; later, rounding affects which patches are nearest in entropy
    golden: ClassVar[dict[int, float]] = {0: 1.26228, 1: 1.11013, 2: 1.04445, 3: 3.58353}
    size = 64

    def method(self, data: PreparedData, *more: str) -> PLGCL:
        method = self.build(data, self.config(data, *more))
        assert isinstance(method, PLGCL)
        return method

    def test_equations_6_and_7(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plgcl, "strong_augment", lambda x: 1 - x)
        method = self.method(small_data, QUIET, "plgcl.regularisation_weight=0.5").eval()
        with torch.no_grad():
            method.teacher.head.bias.add_(torch.tensor([0.3, -0.2, 0.1]))
            for network in (method.student, method.teacher):
                network.head.weight.mul_(20)  # so that predictions depend on the view
        batch = self.batch()
        terms = method(batch, Step(0, 100))
        labelled = F.cross_entropy(method.student(batch.images[:2]), batch.labels)
        torch.testing.assert_close(terms["supervised"], labelled)
        teacher = predict_probabilities(method.teacher, batch.images[2:])  # weak
        with batch_statistics(method.student):
            student = method.student(1 - batch.images[2:]).log_softmax(1)  # strong
        torch.testing.assert_close(
            terms["regularisation"], -0.5 * (teacher * student).sum(1).mean()
        )

    def test_equation_5_is_given_the_nearest_in_entropy(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        more = ("plgcl.temperature=0.3", "plgcl.lambda_weight=2", "plgcl.weight=0.6")
        method = self.method(small_data, "plgcl.neighbours=3", *more)
        windows, calls = keep_windows(method, monkeypatch), keep_calls(monkeypatch)
        term = method(self.batch(), LATE)["plgcl"]
        embeddings, classes, positives, *rest = calls[0]
        assert rest == [3, 0.3, 2.0, False]
        assert torch.equal(classes, windows[0].classes)
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(len(classes)))
        torch.testing.assert_close(term, 0.6 * gaussian_contrast(*calls[0]))
        entropy = windows[0].entropy
        for u, row in enumerate(positives):
            own = [v for v in range(len(classes)) if v != u and classes[v] == classes[u]]
            own.sort(key=lambda v: abs(float(entropy[v] - entropy[u])))
            assert row.sum() == min(3, len(own))
            farthest = max((abs(float(entropy[v] - entropy[u])) for v in own[:3]), default=0)
            assert all(abs(float(entropy[v] - entropy[u])) <= farthest for v in row.nonzero())

    @pytest.mark.parametrize("channels", [1, 3])
    def test_windows_are_those_of_equations_1_to_3(
        self, small_data: PreparedData, channels: int
    ) -> None:
        more = (QUIET, "plgcl.patches=5000", "plgcl.least_confidence=0.2")
        torch.manual_seed(0)
        task = small_data.task.model_copy(update={"channels": channels})
        method = PLGCL(task, self.config(small_data, *more))
        with torch.no_grad():  # a teacher with other predictions must not be used
            method.teacher.head.bias.add_(torch.tensor([3.0, -2.0, 1.0]))
        grey = self.batch()
        colours = torch.linspace(1, 0.2, channels)[:, None, None]  # each with a different entropy
        batch = Batch(grey.images * colours, grey.labels)
        found = method._windows(batch)
        truth = F.one_hot(batch.labels, 3).movedim(-1, 1).float()
        guess = predict_probabilities(method.student, batch.images[2:])
        confidence = torch.cat([truth, guess])
        images = batch.images.clamp(0, 1)
        expected = []
        for b in range(4):
            for k in range(3):
                for top in range(0, 49, 8):
                    for left in range(0, 49, 8):
                        place = (slice(top, top + 16), slice(left, left + 16))
                        c, x = confidence[b, k][place], images[b][:, *place]
                        if c.mean() >= 0.2:
                            expected.append((k, float(c.mean()),
                                             float(binary_entropy(c * x).mean()),
                                             float((c * x).sum())))  # fmt: skip
        rows = zip(found.classes.tolist(), found.confidence.tolist(), found.entropy.tolist(),
                   found.pixels.sum((1, 2, 3)).tolist(), strict=True)  # fmt: skip
        assert found.pixels.shape[1:] == (channels, 16, 16)
        flat = [value for row in sorted(rows) for value in row]
        wanted = [value for row in sorted(expected) for value in row]
        assert flat == pytest.approx(wanted, rel=1e-4, abs=1e-4)

    def test_up_to_p_patches_of_a_class_each_once(self, small_data: PreparedData) -> None:
        method = self.method(small_data, "plgcl.patches=7")
        rare = self.batch()
        rare.labels.zero_()
        rare.labels[0, 32:40, 32:40] = 2
        with torch.no_grad():  # a student that never predicts class 2
            method.student.head.bias.copy_(torch.tensor([0.0, 0.0, -50.0]))
        draws = set()
        for seed in range(5):
            torch.manual_seed(seed)
            windows = method._windows(rare)
            counts = windows.classes.bincount(minlength=3).tolist()
            assert counts[0] == 7
            assert 0 < counts[2] <= 7
            of_rare = windows.pixels[windows.classes == 2].flatten(1)
            assert len(of_rare.unique(dim=0)) >= counts[2] - 1  # one may be black
            draws.add(round(float(windows.entropy[:7].sum()), 6))
        assert len(draws) > 1

    def test_the_warm_up(self, small_data: PreparedData) -> None:
        method = self.method(small_data)
        assert method.active_from(300) == {"plgcl": 50}
        assert "plgcl" not in method(self.batch(), Step(49, 300))
        assert "plgcl" in method(self.batch(), Step(50, 300))
        at_once = self.method(small_data, "plgcl.warmup=17")
        assert at_once.active_from(300) == {"plgcl": 17}

    @pytest.mark.parametrize(("more", "terms"), [
        (("plgcl.weight=0", "plgcl.regularisation_weight=0"), {"supervised"}),
        (("plgcl.weight=0",), {"supervised", "regularisation"}),
        (("plgcl.regularisation_weight=0",), {"supervised", "plgcl"}),
    ])  # fmt: skip
    def test_rows_of_table_2(
        self, small_data: PreparedData, more: tuple[str, ...], terms: set[str]
    ) -> None:
        method = self.method(small_data, *more)
        assert set(method(self.batch(), LATE)) == terms

    @pytest.mark.parametrize("similarity", ["entropy", "confidence", "cosine", "class"])
    def test_rows_of_table_3(
        self, small_data: PreparedData, similarity: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        method = self.method(small_data, f"plgcl.similarity={similarity}", "plgcl.neighbours=2")
        windows = keep_windows(method, monkeypatch)
        calls = keep_calls(monkeypatch)
        loss = method(self.batch(), LATE)["plgcl"]
        assert torch.isfinite(loss)
        loss.backward()
        classes, positives = calls[0][1], calls[0][2]
        sizes = classes.bincount()[classes] - 1
        if similarity == "class":
            assert torch.equal(positives.sum(1), sizes)
            return
        assert torch.equal(positives.sum(1), sizes.clamp(max=2))
        apart = distances(windows[0], similarity)  # type: ignore[arg-type]
        assert torch.equal(positives, nearest(apart, classes, 2))

    def test_the_rest_as_negative(
        self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = keep_calls(monkeypatch)
        for rest in ("ignored", "negative"):
            self.method(small_data, f"plgcl.rest={rest}")(self.batch(), LATE)
        assert [call[6] for call in calls] == [False, True]

    @pytest.mark.parametrize(("batch_norm", "images"), [("apart", 2), ("together", 4)])
    def test_only_the_main_pass_reaches_the_students_averages(
        self,
        small_data: PreparedData,
        monkeypatch: pytest.MonkeyPatch,
        batch_norm: str,
        images: int,
    ) -> None:
        monkeypatch.setattr(plgcl, "strong_augment", lambda x: x)
        more = (QUIET, f"training.batch_norm={batch_norm}")
        whole, plain = (self.method(small_data, *more).train() for _ in range(2))
        terms = whole(self.batch(), LATE)
        logits = plain.student(self.batch().images[:images])  # of the labelled images, or of all
        labelled = F.cross_entropy(logits[:2], self.batch().labels)
        torch.testing.assert_close(terms["supervised"], labelled)
        for name, value in plain.student.named_buffers():
            torch.testing.assert_close(dict(whole.student.named_buffers())[name], value)

    def test_pseudo_labels_have_no_dropout(self, small_data: PreparedData) -> None:
        method = self.method(small_data, "unet.dropout=[0.5, 0.5, 0.5, 0.5, 0.5]").train()
        images = self.batch().images
        assert torch.equal(
            predict_probabilities(method.student, images),
            predict_probabilities(method.student, images),
        )
        assert not torch.equal(method.student(images), method.student(images))

    def test_the_teacher_is_an_average(self, small_data: PreparedData) -> None:
        method = self.method(small_data, "plgcl.ema_decay=0.75")
        before = {n: x.clone() for n, x in method.teacher.state_dict().items()}
        with torch.no_grad():
            for p in method.student.parameters():
                p.add_(1.0)
            for name, buffer in method.student.named_buffers():
                buffer.add_(4 if "num" in name else 1.0)
        method.after_step(LATE)
        for name, value in method.teacher.state_dict().items():
            new = method.student.state_dict()[name]
            if value.is_floating_point():
                torch.testing.assert_close(value, 0.75 * before[name] + 0.25 * new)
            else:
                assert torch.equal(value, new)

    def test_neither_teacher_nor_guide_changes_in_a_forward_pass(
        self, small_data: PreparedData
    ) -> None:
        method = self.method(small_data, "plgcl.refine=false").train()
        method(self.batch(), Step(17, 100))
        for network in (method.teacher, method.guide):
            assert network is not None
            before = {n: x.clone() for n, x in network.state_dict().items()}
            method(self.batch(), LATE)
            assert all(torch.equal(x, before[n]) for n, x in network.state_dict().items())

    def test_frozen_pseudo_labels_are_those_of_the_warm_ups_end(
        self, small_data: PreparedData
    ) -> None:
        method = self.method(small_data, "plgcl.refine=false", "plgcl.warmup=0.5")
        assert method.guide is not None
        with torch.no_grad():
            method.student.head.bias.add_(1)
        method(self.batch(), Step(50, 100))
        kept = method.guide.head.bias.clone()
        assert torch.equal(kept, method.student.head.bias)
        with torch.no_grad():
            method.student.head.bias.add_(1)
        method(self.batch(), Step(51, 100))
        assert torch.equal(method.guide.head.bias, kept)

    @pytest.mark.parametrize("refine", [True, False])
    def test_patches_follow_the_student_unless_its_pseudo_labels_are_frozen(
        self, small_data: PreparedData, refine: bool
    ) -> None:
        more = ("plgcl.patches=5000", "plgcl.warmup=0.5", f"plgcl.refine={str(refine).lower()}")
        method, batch, found = self.method(small_data, *more), self.batch(), []
        method(batch, Step(50, 100))
        for _ in range(2):
            found.append(method._windows(batch).confidence.sort().values)
            with torch.no_grad():
                method.student.head.bias.add_(torch.tensor([1.0, 0.0, 0.0]))
        assert torch.equal(*found) is not refine

    def test_lambda_ramps(self, small_data: PreparedData, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = keep_calls(monkeypatch)
        for more in ("plgcl.lambda_ramp=true", "plgcl.lambda_ramp=false"):
            method = self.method(small_data, more)
            for index in (25, 50):
                method(self.batch(), Step(index, 100))
        assert [call[5] for call in calls] == [1.0, 2.0, 4.0, 4.0]

    @pytest.mark.parametrize("labels", [0, 1])
    def test_one_class_alone_is_finite(self, small_data: PreparedData, labels: int) -> None:
        method = self.method(small_data)
        batch = self.batch()
        batch.labels.fill_(labels)
        with torch.no_grad():
            method.student.head.bias.copy_(100 * F.one_hot(torch.tensor(labels), 3))
        for images in (batch.images, torch.zeros_like(batch.images)):
            loss = method(Batch(images, batch.labels), LATE)["plgcl"]
            loss.backward()
            assert torch.isfinite(loss)

    def test_no_candidate_at_all_is_zero(self, small_data: PreparedData) -> None:
        method = self.method(small_data, "plgcl.least_confidence=1")
        batch = self.batch()
        batch.labels.copy_(torch.arange(64).expand(2, 64, 64) % 2)
        loss = method(batch, LATE)["plgcl"]
        assert loss.item() == 0
        loss.backward()

    @pytest.mark.parametrize("least", ["0", "0.01"])
    def test_there_are_no_patches_where_nobody_drew(
        self, small_data: PreparedData, least: str
    ) -> None:
        method = self.method(small_data, "plgcl.patches=5000", f"plgcl.least_confidence={least}")
        batch = self.batch()
        labelled = Batch(batch.images[:2], batch.labels.clone())
        labelled.labels[:] = IGNORE_INDEX
        assert len(method._windows(labelled).classes) == 0
        labelled.labels[0, :16, :16] = 1
        found = method._windows(labelled)
        shown = found.pixels[found.classes == 1].flatten(1).sum(1)
        assert int((shown > 0).sum()) == 4  # windows in steps of 8 that overlap the labelled corner
        assert found.confidence.max() == 1

    def test_strong_views_are_grey_morphology_of_other_brightness(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from semiseg.methods.common import strong_augment as strong

        images = torch.rand(32, 2, 9, 9)
        monkeypatch.setattr(strong, "BRIGHTNESS", 0.0)
        monkeypatch.setattr(strong, "CONTRAST", 0.0)
        torch.manual_seed(0)
        views = strong.strong_augment(images).numpy()
        kinds = set()
        for image, view in zip(images.numpy(), views, strict=True):
            looks = {
                "neither": image,
                "dilated": ndimage.grey_dilation(image, (1, 3, 3)),
                "eroded": ndimage.grey_erosion(image, (1, 3, 3)),
            }
            (kind,) = [name for name, look in looks.items() if np.array_equal(look, view)]
            kinds.add(kind)
        assert kinds == {"neither", "dilated", "eroded"}

    def test_strong_views_are_other_looks_at_the_same_view(self) -> None:
        images = torch.rand(64, 1, 16, 16)
        torch.manual_seed(0)
        views = plgcl.strong_augment(images)
        assert views.shape == images.shape
        assert views.min() >= 0
        assert views.max() <= 1
        assert (views != images).flatten(1).any(1).all()
        # a bright square does not move
        square = torch.zeros(64, 1, 16, 16)
        square[:, :, 4:10, 6:12] = 1
        seen = plgcl.strong_augment(square)
        inside, outside = seen[:, :, 5:9, 7:11], seen[:, :, 12:]
        assert (inside.amin((1, 2, 3)) > outside.amax((1, 2, 3))).all()


def test_distances() -> None:
    pixels = torch.zeros(3, 1, 2, 2)
    pixels[0, 0, 0, 0], pixels[1, 0, 0, 0], pixels[2, 0, 1, 1] = 1.0, 5.0, 1.0
    windows = Windows(
        pixels, torch.zeros(3, dtype=torch.long), torch.tensor([0.1, 0.4, 0.2]),
        torch.tensor([0.5, 0.5, 0.2]),
    )  # fmt: skip
    torch.testing.assert_close(distances(windows, "entropy")[0], torch.tensor([0.0, 0.0, 0.3]))
    torch.testing.assert_close(distances(windows, "confidence")[0], torch.tensor([0.0, 0.3, 0.1]))
    torch.testing.assert_close(distances(windows, "cosine")[0], torch.tensor([0.0, 0.0, 1.0]))
    assert not distances(windows, "class").any()


@pytest.mark.parametrize("similarity", ["entropy", "confidence", "cosine"])
def test_mixed_precision_leaves_the_ranking_alone(similarity: plgcl.Similarity) -> None:
    torch.manual_seed(0)
    pixels = torch.rand(1, 1, 24, 24) + 0.3 * torch.rand(40, 1, 24, 24)  # similar, like patches
    windows = Windows(pixels, torch.zeros(40, dtype=torch.long), torch.rand(40), torch.rand(40))
    exact = distances(windows, similarity)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(distances(windows, similarity), exact)


@pytest.mark.parametrize("size", [100, 32, 48])
def test_a_size_without_windows_says_what_fits(size: int) -> None:
    with pytest.raises(UserError, match=rf"side of {size} pixels .* does not fit plgcl") as error:
        check_size(size, 16)
    lower, upper = str(error.value).rpartition("such as ")[2].rstrip(".").split(" or ")
    for fits in (int(lower), int(upper)):
        check_size(fits, 16)
        UNet.check_sides(UNetConfig(), (fits, fits), (1.0, 1.0))


def test_images_that_do_not_lie_within_0_and_1_are_refused(small_data: PreparedData) -> None:
    task = small_data.task.model_copy(update={"intensity": Intensity(kind="zscore")})
    config = resolve_config(small_data.manifest, "plgcl", None, small_settings("plgcl")).config
    with pytest.raises(UserError, match="z-scores: prepare them with --intensity percentile"):
        PLGCL(task, config)


def test_crops_of_one_pixel_at_the_bottom_need_batch_norm(small_data: PreparedData) -> None:
    def build(size: int) -> PLGCL:
        settings = (*small_settings("plgcl"), "unet.norm=instance", f"data.size={size}")
        return PLGCL(
            small_data.task, resolve_config(small_data.manifest, "plgcl", None, settings).config
        )

    with pytest.raises(UserError, match=r"patches of 24 pixels.*unet\.norm=batch"):
        build(96)
    terms = build(128)(Batch(torch.rand(2, 1, 128, 128), torch.zeros(1, 128, 128).long()), LATE)
    assert torch.isfinite(terms["plgcl"])


def test_presets_say_what_is_printed(small_data: PreparedData) -> None:
    for name in ("plgcl-acdc", "plgcl-kits19", "plgcl-crag"):
        config: RunConfig = resolve_config(small_data.manifest, None, name).config
        assert config.method == "plgcl"
        o, t = config.options, config.training
        assert (o["temperature"], o["lambda_weight"], o["ema_decay"]) == (0.2, 4.0, 0.999)
        assert (o["regularisation_weight"], o["weight"], o["neighbours"]) == (0.25, 0.2, 20)
        assert (t.batch_size, t.optimiser, t.learning_rate) == (16, "adam", 1e-4)
        assert (t.epochs, round(300 * o["warmup"])) == (300, 50)
        assert (config.data.rotation, config.data.quarter_turns_and_flips) == (1, 0)
        assert config.data.crop > 0
        assert "ours" in presets.load(name)["source"]
