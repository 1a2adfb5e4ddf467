"""`plgcl`: Basak and Yin. Pseudo-label guided contrastive learning for semi-supervised medical image
segmentation (CVPR 2023).

The student's predictions on strong views of unlabelled images are trained towards those of its
average, the teacher, on weak views (equation 6). Labels or the student's pseudo-labels select
patches of class-attended images (section 3.1). The student's encoder and a head embed the patches,
and equation 5 contrasts them: positives are the patches of the same class with the nearest entropy,
negatives are patches of other classes. L = L_sup + beta L_reg + gamma L_plgcl (equation 8); the last
term starts after a warm-up (section 3.4).

The public code does not run. docs/plgcl.md explains how we read the paper.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.losses.ignore import cross_entropy, one_hot
from semiseg.losses.plgcl import binary_entropy, gaussian_contrast, nearest
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import DerivedSetting, Method, ParameterGroup, Step, as_iterations
from semiseg.methods.common.batch_norm import batch_statistics
from semiseg.methods.common.points import Points
from semiseg.methods.common.pseudo_label import predict_probabilities
from semiseg.methods.common.snapshot import refresh_snapshot
from semiseg.methods.common.strong_augment import strong_augment
from semiseg.methods.common.teacher import frozen_copy, update_ema
from semiseg.networks.build import build_network, check_patch
from semiseg.networks.segmenter import Segmenter

Similarity = Literal["entropy", "confidence", "cosine", "class"]


class PLGCLOptions(base.NetworkOptions):
    """Options of ``plgcl``. They cover every row of the paper's tables 2 and 3."""

    regularisation_weight: float = Field(0.25, ge=0, description="beta, weight of equation 6")
    weight: float = Field(0.2, ge=0, description="gamma, weight of equation 5")
    warmup: float = Field(
        1 / 6, ge=0, description="start of equation 5: fraction of the run, or iteration if >= 1"
    )
    refine: bool = Field(
        True,
        description="pseudo-labels of the current student; false: of the student after warm-up",
    )
    ema_decay: float = Field(0.999, ge=0, lt=1, description="alpha of equations 9 and 10")
    temperature: float = Field(0.2, gt=0, description="tau of equation 5")
    lambda_weight: float = Field(4.0, ge=0, description="lambda of equation 5")
    lambda_ramp: bool = Field(False, description="whether lambda grows with t/T")
    similarity: Similarity = Field(
        "entropy", description="ranking of positives; class: all patches of the class"
    )
    neighbours: int = Field(20, ge=1, description="n, positives of each anchor")
    rest: Literal["ignored", "negative"] = Field(
        "ignored", description="role of the other patches of the anchor's class"
    )
    patches: int = Field(64, ge=2, le=65536, description="patches per class, drawn from the batch")
    least_confidence: float = Field(
        0.01, ge=0, le=1, description="lowest confidence of a patch, equation 1"
    )
    head_hidden: int = Field(256, ge=1, le=65536, description="hidden units of the head")
    head_width: int = Field(128, ge=1, le=65536, description="dimension of an embedding")


class Windows(NamedTuple):
    """The V patches of one step, with their values of equations 1 and 2."""

    pixels: Tensor
    """[V, C, w, w], patches of the attended images."""
    classes: Tensor
    """[V] int64."""
    confidence: Tensor
    """[V], equation 1."""
    entropy: Tensor
    """[V], equation 2."""


class Head(nn.Sequential):
    """H: the paper's "shallow FC layer"."""

    def __init__(self, channels: int, hidden: int, width: int) -> None:
        super().__init__(
            nn.Linear(channels, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, width)
        )

    def embed(self, pooled: Tensor) -> Tensor:
        """[V, C] -> [V, D] of unit length."""
        return F.normalize(self(pooled).float(), dim=1)


class PLGCL(Method):
    """Student and teacher. The student is used for inference."""

    Options: ClassVar[type[base.Options]] = PLGCLOptions
    networks: ClassVar[tuple[str, ...]] = ("student", "teacher")
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {"training": {"batch_norm": "apart"}}

    @classmethod
    def derived_settings(cls, config: RunConfig) -> Sequence[DerivedSetting]:
        """See `Method`."""
        size = config.data.side
        return (
            DerivedSetting(
                "plgcl's windows", f"{size // 4} pixels, every {size // 8}",
                "a quarter of the side, with half a window's stride; cannot be set",
            ),
        )  # fmt: skip

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`. Raises `UserError` for z-scores and for a size that does not fit."""
        super().__init__(task, config)
        o: PLGCLOptions = self.options
        if task.intensity.kind == "zscore":
            raise UserError(
                "plgcl computes the entropy of images and needs intensities in [0, 1], not z-scores: prepare "
                "them with --intensity percentile."
            )
        self.classes = len(task.classes)
        self.student = build_network(task, config, o.network)
        check_size(config.data.side, self.student.encoder.reductions[-1])
        check_patch(self.student, config.data.side // 4, o.network)
        self.teacher = frozen_copy(self.student)
        # the network whose pseudo-labels select the patches if they are not refined
        self.guide: Segmenter | None = None if o.refine else frozen_copy(self.student)
        self.head = Head(self.student.encoder.out_channels[-1], o.head_hidden, o.head_width)
        if not o.weight:
            self.head.requires_grad_(False)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` (equation 7), ``regularisation`` (6), ``plgcl`` (5), weighted (8)."""
        o, labelled = self.options, batch.labelled
        weak = batch.images[labelled:]
        regularised = o.regularisation_weight > 0 and batch.unlabelled > 0
        images = batch.images[:labelled]
        if regularised:
            images = torch.cat([images, strong_augment(weak)])
        features = self.features(self.student, images, labelled)
        logits = at_least_single(self.student.classify(features))
        terms = {"supervised": cross_entropy(logits[:labelled], batch.labels)}
        if regularised:
            target = predict_probabilities(self.teacher, weak)
            # soft targets; the student sees the strong view (a sentence on page 5 swaps the two)
            loss = F.cross_entropy(logits[labelled:], target)
            terms["regularisation"] = o.regularisation_weight * loss
        start = as_iterations(o.warmup, step.total)
        if o.weight and step.index >= start:
            if self.guide is not None:
                refresh_snapshot(self.guide, self.student, step, at={start})
            windows = self._windows(batch)
            terms["plgcl"] = o.weight * self._contrast(windows, step)
        return terms

    def _windows(self, batch: Batch) -> Windows:
        """Draw up to P patches of every class from the whole batch (section 3.1)."""
        o, labelled = self.options, batch.labelled
        # ignored pixels have confidence 0 for every class
        confidence = one_hot(batch.labels, self.classes)
        if batch.unlabelled:
            guide = self.guide if self.guide is not None else self.student
            guessed = predict_probabilities(guide, batch.images[labelled:])
            confidence = torch.cat([confidence, guessed])  # C: [B, K, S, S]
        images = batch.images.clamp(0, 1)  # x: [B, C, S, S]
        side = images.shape[-1] // 4
        stride = side // 2
        attended = images[:, None] * confidence[:, :, None]  # [B, K, C, S, S]
        disorder = binary_entropy(attended).mean(2)
        average, entropy = (  # [K, B * W * W] each
            F.avg_pool2d(x, side, stride).transpose(0, 1).flatten(1) for x in (confidence, disorder)
        )
        candidates = (average >= o.least_confidence) & (average.sum(0) > 0)
        draw = torch.rand_like(average).masked_fill(~candidates, -1)
        drawn = draw.topk(min(o.patches, draw.shape[1]), dim=1)
        classes, rank = (drawn.values >= 0).nonzero(as_tuple=True)
        position = drawn.indices[classes, rank]
        per_image = average.shape[1] // len(images)
        image, place = position // per_image, position % per_image
        across = (images.shape[-1] - side) // stride + 1
        row, column = place // across, place % across
        pixels = tiles(images, side, stride)[image, :, row, column]
        weights = tiles(confidence, side, stride)[image, classes, row, column]
        return Windows(
            pixels * weights[:, None], classes, average[classes, position],
            entropy[classes, position],
        )  # fmt: skip

    def _contrast(self, windows: Windows, step: Step) -> Tensor:
        """Equation 5 for the patches of one step; 0 for fewer than two, which batch norm needs."""
        o = self.options
        if len(windows.classes) < 2:
            return 0.0 * torch.stack([p.sum() for p in self.head.parameters()]).sum()
        _, embeddings = self.embed(windows.pixels)
        positives = nearest(
            distances(windows, o.similarity), windows.classes,
            len(windows.classes) if o.similarity == "class" else o.neighbours,
        )  # fmt: skip
        return gaussian_contrast(
            embeddings, windows.classes, positives, self.classes, o.temperature,
            o.lambda_weight * (step.fraction if o.lambda_ramp else 1.0), o.rest == "negative",
        )  # fmt: skip

    def embed(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Patches [V, C, w, w] -> the encoder's pooled maps [V, E] and f = H(E(patch)) [V, D]."""
        with batch_statistics(self.student):
            pooled = self.student.encode(pixels)[-1].float().mean((2, 3))
        return pooled, self.head.embed(pooled)

    def embeddings(self, images: Tensor, labels: Tensor) -> dict[str, Points]:
        """See `Method`. Adds patches attended by the true labels, as in figure 3."""
        windows = self._windows(Batch(images, labels))
        pooled, embedded = self.embed(windows.pixels)
        return super().embeddings(images, labels) | {
            "encoder": (pooled, windows.classes),
            "head": (embedded, windows.classes),
        }

    def after_step(self, step: Step) -> None:
        """Equations 9 and 10."""
        update_ema(self.teacher, self.student, self.options.ema_decay)

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        return (
            {"plgcl": as_iterations(self.options.warmup, iterations)} if self.options.weight else {}
        )

    def parameter_groups(self) -> list[ParameterGroup]:
        """See `Method`."""
        # separate groups in the logs: the contrast has a gradient in the encoder only
        own = self.student.config
        rate = (own.learning_rate_scale, own.warmup)
        encoder = list(self.student.encoder.parameters())
        rest = [*self.student.decoder.parameters(), *self.student.head.parameters()]
        groups = [
            ParameterGroup("encoder", encoder, *rate), ParameterGroup("decoder", rest, *rate)
        ]  # fmt: skip
        if self.options.weight:
            groups.append(ParameterGroup("head", list(self.head.parameters())))
        return groups


def tiles(x: Tensor, side: int, stride: int) -> Tensor:
    """Return a view of the windows of [B, C, S, S]: [B, C, W, W, side, side]."""
    return x.unfold(2, side, stride).unfold(3, side, stride)


def distances(windows: Windows, similarity: Similarity) -> Tensor:
    """Return the distances [V, V] that rank the patches of a class (table 3)."""
    if similarity == "cosine":  # of the flattened patches
        vectors = F.normalize(at_least_single(windows.pixels).flatten(1), dim=1)
        # patches are so similar that in half precision most distances would be equal
        with torch.autocast(vectors.device.type, enabled=False):
            return 1 - vectors @ vectors.T
    if similarity == "class":
        return windows.entropy.new_zeros(len(windows.entropy), len(windows.entropy))
    values = windows.entropy if similarity == "entropy" else windows.confidence
    return (values[:, None] - values).abs()


def check_size(size: int, coarsest: int) -> None:
    """Check that windows of a quarter of ``size`` fit with a stride of an eighth.

    Args:
        size: the input's side.
        coarsest: the reduction of the network's coarsest map.

    Raises:
        UserError: if not; the message names sizes that fit.
    """
    unit, least = max(8, coarsest), 4 * coarsest
    if size % unit or size < least:
        lower = max(size // unit * unit, least)
        raise UserError(
            f"A side of {size} pixels (data.size or data.crop_size) does not fit plgcl, whose "
            f"patches are a quarter of the side with a stride of an eighth: use a multiple of "
            f"{unit} of at least {least}, such as {lower} or {lower + unit}."
        )
