"""`ad-mt` (AD-MT): Zhao et al., Alternate diverse teaching for semi-supervised medical image segmentation
(ECCV 2024).

L = 0.5 (CE + Dice) on labelled images + w(t) Dice(p, y) on unlabelled ones, w(t) = 2 exp(-5 (1 - t/T)^2).
Two teachers are moving averages (decay 0.99) of one student, which updates them in turn, each for a random
time of about 50 iterations ("random periodic alternate updating"). Unlabelled images have strong colours in
the periods of the first teacher, and CutMix with lambda ~ Beta(4, 4) in those of the second. p is the
student's prediction of them.

y comes from the weak view ("conflict-combating module"). The teachers' probabilities are fused with weights
e^-H, where H is the entropy of a pixel. Where the teachers' classes differ, the prediction with the largest
probability among those of both teachers and the student replaces the fused one. y is the argmax where the
largest probability is at least 0.95; other pixels have no loss. Until the second teacher has its first
update, y comes from the first teacher alone.

Departures from the paper: this file was written from a description of the method; the authors' release
has no licence and was not read. From memory or our choice: a period is uniform between a half and one and
a half times ``period``; which augmentation belongs to which teacher; confidence, not entropy, decides at
conflicts; the first teacher alone labels until the second one is updated; colours and blur are those of
UniMatch. The paper gives the two periods complementary batches of the unlabelled images; here each batch
is drawn at random. Periods are a function of (seed, position in the run), so a resumed run alternates
alike, and with a time limit they follow the time used. The first update of a teacher copies the student;
decays are at most 1 - 1/(t + 1), with t counted from a teacher's first update. CutMix takes its second
image from the same batch.
"""

import bisect
import functools
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import supervised_loss
from semiseg.losses.pseudo_label import pseudo_label_dice
from semiseg.methods import base
from semiseg.methods.base import Method, Step, as_iterations
from semiseg.methods.common.colour_jitter import ColourOptions
from semiseg.methods.common.mixing import beta_box_mask
from semiseg.methods.common.pseudo_label import (
    confident_pseudo_label,
    entropy,
    predict_probabilities,
)
from semiseg.methods.common.ramp_up import sigmoid_rampup
from semiseg.methods.common.strong_view import View, colour_view, cutmix, logits_with
from semiseg.methods.common.teacher import ema_decay_at, frozen_copy, update_ema
from semiseg.networks.build import build_network


class ADMTOptions(base.NetworkOptions, ColourOptions):
    """Options of ``ad-mt``."""

    period: float = Field(
        50, gt=0, description="mean length of a period: iterations, or a fraction of the run if < 1"
    )
    ema_decay: float = Field(0.99, ge=0, lt=1, description="decay of the teachers")
    threshold: float = Field(0.95, ge=0, le=1, description="lowest confidence of a pseudo-label")
    weight: float = Field(2.0, ge=0, description="final weight of the pseudo-labels")
    cutmix_alpha: float = Field(
        4.0, gt=0, description="both parameters of CutMix's beta distribution"
    )


@functools.lru_cache(maxsize=8)
def period_ends(total: int, period: int, seed: int) -> tuple[int, ...]:
    """Draw the positions at which periods end, until one is at least ``total``.

    Lengths are uniform integers from half of ``period``, rounded up, to one and a half times ``period``.
    """
    shortest = (period + 1) // 2
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(
        shortest, period + period // 2 + 1, (total // shortest + 1,), generator=generator
    )
    return tuple(lengths.cumsum(0).tolist())


def fuse(p: Tensor, q: Tensor) -> Tensor:
    """Return ``(e^-H(p) p + e^-H(q) q) / (e^-H(p) + e^-H(q))`` for each pixel: [B, K, ...]."""
    share = (entropy(q) - entropy(p)).sigmoid()[:, None]
    return share * p + (1 - share) * q


def resolve_conflicts(p: Tensor, q: Tensor, student: Tensor) -> Tensor:
    """Fuse two predictions; where their classes differ, take the most confident of all three instead.

    At a conflict the fused prediction is not confident: with two classes its largest probability is below
    5/6, and 0.95 needs 18 classes or more.

    Args:
        p: [B, K, ...] probabilities of a teacher.
        q: as ``p``, of the other teacher.
        student: as ``p``.

    Returns:
        [B, K, ...] probabilities.
    """
    best = more_confident(student, more_confident(q, p))
    conflict = p.argmax(1) != q.argmax(1)
    return torch.where(conflict[:, None], best, fuse(p, q))


def more_confident(p: Tensor, q: Tensor) -> Tensor:
    """Return ``p`` at pixels where its largest probability is greater than that of ``q``: [B, K, ...]."""
    return torch.where(p.amax(1, keepdim=True) > q.amax(1, keepdim=True), p, q)


class ADMT(Method):
    """A student and two teachers that it updates in turn."""

    Options: ClassVar[type[base.Options]] = ADMTOptions
    networks: ClassVar[tuple[str, ...]] = ("student", "teacher_1", "teacher_2")

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.student = build_network(task, config, self.options.network)
        self.teacher_1 = frozen_copy(self.student)
        self.teacher_2 = frozen_copy(self.student)

    def period_ends(self, total: int) -> tuple[int, ...]:
        """Return the positions at which periods end, in a run of ``total`` positions."""
        period = max(as_iterations(self.options.period, total), 1)
        return period_ends(total, period, self.config.training.seed)

    def active(self, step: Step) -> int:
        """Return the teacher that is updated: 0 for the first, 1 for the second."""
        return bisect.bisect_right(self.period_ends(step.total), step.index) % 2

    def has_second(self, step: Step) -> bool:
        """Return whether the second teacher was updated before ``step``."""
        start = self.period_ends(step.total)[0]
        return step.index >= start and not step.reached(start)

    def pseudo_label(self, images: Tensor, step: Step) -> Tensor:
        """Return the pseudo-labels [U, ...] of images [U, C, ...]."""
        target = predict_probabilities(self.teacher_1, images)
        if self.has_second(step):
            second = predict_probabilities(self.teacher_2, images)
            target = resolve_conflicts(target, second, predict_probabilities(self.student, images))
        return confident_pseudo_label(target, self.options.threshold)

    def view(self, images: Tensor, step: Step) -> View:
        """Return the view of images [U, C, ...] that the active teacher's periods have."""
        label = self.pseudo_label(images, step)
        if self.active(step) == 0:
            return View(colour_view(images, self.options, self.task, self.config), label)
        sides, alpha = images.shape[2:], self.options.cutmix_alpha
        return cutmix(images, label, beta_box_mask(len(images), sides, images.device, alpha))

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``pseudo``."""
        unlabelled = batch.images[batch.labelled :]
        views = [self.view(unlabelled, step)] if batch.unlabelled else []
        logits, *strong = logits_with(self, self.student, batch, views)
        terms = {"supervised": supervised_loss(logits, batch.labels)}
        for view, x in zip(views, strong, strict=True):
            weight = self.options.weight * sigmoid_rampup(step.fraction)
            terms["pseudo"] = weight * pseudo_label_dice(x, view.pseudo_label)
        return terms

    def after_step(self, step: Step) -> None:
        """Update the active teacher."""
        teachers, starts = (self.teacher_1, self.teacher_2), (0, self.period_ends(step.total)[0])
        active = self.active(step)
        for number, (teacher, start) in enumerate(zip(teachers, starts, strict=True)):
            if step.reached(start):
                update_ema(teacher, self.student, 0.0)
            elif number == active:
                decay = ema_decay_at(step.index - start, self.options.ema_decay)
                update_ema(teacher, self.student, decay)
