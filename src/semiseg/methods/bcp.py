"""`bcp` (BCP): Bai et al., Bidirectional copy-paste for semi-supervised medical image segmentation (CVPR
2023).

M is 0 in a box of two thirds of each side and 1 outside. X_in = M X_l + (1 - M) X_u and
X_out = M X_u + (1 - M) X_l; X_in and X_out use different images of the batch. Targets are mixed alike, with
the teacher's pseudo-labels for X_u. L = L_in + L_out,

    L_in = L_seg(Q_in, Y_in) over M + alpha L_seg(Q_in, Y_in) over 1 - M
    L_out = L_seg(Q_out, Y_out) over 1 - M + alpha L_seg(Q_out, Y_out) over M

with L_seg = 0.5 (CE + Dice) and alpha = 0.5: labelled parts weigh 1, unlabelled parts alpha. A pseudo-label
is the teacher's argmax, of which each class of each image keeps its largest component. In the first quarter
of the run (10,000 of 40,000 iterations on ACDC) the student learns from labelled images that are pasted
into each other. Then the teacher begins with the student's weights and is its moving average (decay 0.99).

Departures from the paper. The second stage begins with the last weights of the first, not with those that
are best on validation images, and optimiser and learning rate continue. The public code's rate is constant
(``training.power=0``). Cross entropy and Dice of a part are normalised by the pixels of that part, as in the
public code; both parts of the first stage weigh 1, as there. The box is drawn for each image (in the public
code for each batch) and both directions share it. The teacher predicts without dropout. With odd numbers of
images, or other numbers of labelled and unlabelled ones, images of the smaller half are used again; without
unlabelled images the first stage continues. The public code's pseudo-labels of volumes keep one component of
one class; here all classes do. Structures that occur several times in an image need
``bcp.largest_component=false``. The public code passes X_in and X_out separately: each has its own batch
statistics, and both change the running averages. Under ``training.batch_norm=together`` they share them.
Under ``apart``, X_in counts as labelled and X_out as unlabelled: each has its own statistics, and only X_in
changes the running averages. The facts on the public code are from memory.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import supervised_loss
from semiseg.methods import base
from semiseg.methods.base import Method, Step, as_iterations
from semiseg.methods.common.largest_component import largest_component
from semiseg.methods.common.mixing import copy_paste_mask, mix
from semiseg.methods.common.pseudo_label import (
    hard_pseudo_label,
    ignore_outside,
    predict_probabilities,
)
from semiseg.methods.common.snapshot import refresh_snapshot
from semiseg.methods.common.teacher import frozen_copy, update_ema
from semiseg.networks.build import build_network


class BCPOptions(base.NetworkOptions):
    """Options of ``bcp``."""

    first_stage: float = Field(
        0.25,
        ge=0,
        description="length of the first stage: fraction of the run, or iterations if >= 1",
    )
    pseudo_weight: float = Field(0.5, ge=0, description="weight of unlabelled parts, alpha")
    box: float = Field(2 / 3, gt=0, lt=1, description="sides of the box, as a part of the image's")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="decay of the teacher")
    largest_component: bool = Field(
        True, description="whether a class of a pseudo-label keeps its largest component only"
    )


def part_loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return 0.5 (CE + Dice) over the pixels of ``mask`` [B, ...] bool."""
    return supervised_loss(logits, ignore_outside(target, mask))


def halves(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the indices of the two halves of ``count`` images; a single image is in both."""
    places = torch.arange(count, device=device)
    middle = (count + 1) // 2
    return places[:middle], places[middle:] if count > 1 else places


def paired(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat the shorter of two lists of indices until both have the same length."""
    count = max(len(first), len(second))
    places = torch.arange(count, device=first.device)
    return first[places % len(first)], second[places % len(second)]


class BCP(Method):
    """A student of mixed images and its teacher."""

    Options: ClassVar[type[base.Options]] = BCPOptions
    networks: ClassVar[tuple[str, ...]] = ("student", "teacher")

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.student = build_network(task, config, self.options.network)
        self.teacher = frozen_copy(self.student)

    def second_stage(self, iterations: int) -> int:
        """Return the first iteration of the second stage."""
        return as_iterations(self.options.first_stage, iterations)

    def pseudo_label(self, images: Tensor) -> Tensor:
        """Return the teacher's pseudo-labels [U, ...] of images [U, C, ...]."""
        label = hard_pseudo_label(predict_probabilities(self.teacher, images))
        return largest_component(label) if self.options.largest_component else label

    def mask(self, count: int, images: Tensor) -> Tensor:
        """Draw ``count`` masks M [count, ...] of the size of ``images``."""
        return copy_paste_mask(count, images.shape[2:], images.device, self.options.box)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and, in the second stage, ``pseudo``."""
        start = self.second_stage(step.total)
        refresh_snapshot(self.teacher, self.student, step, at={start})
        if step.index < start or not batch.unlabelled:
            return self.among_labelled(batch)
        return self.between(batch)

    def among_labelled(self, batch: Batch) -> dict[str, Tensor]:
        """The loss of labelled images that are pasted into each other."""
        images, labels = batch.images[: batch.labelled], batch.labels
        a, b = paired(*halves(len(images), images.device))
        mask = self.mask(len(a), images)
        mixed = mix(images[a], images[b], mask)
        logits = self.student.classify(self.features(self.student, mixed, len(mixed)))
        return {
            "supervised": part_loss(logits, labels[a], mask) + part_loss(logits, labels[b], ~mask)
        }

    def between(self, batch: Batch) -> dict[str, Tensor]:
        """The loss of both directions between labelled and unlabelled images."""
        images, labels = batch.images[: batch.labelled], batch.labels
        others = batch.images[batch.labelled :]
        target = self.pseudo_label(others)
        (l_in, l_out), (u_in, u_out) = (halves(len(x), x.device) for x in (images, others))
        l_in, u_in = paired(l_in, u_in)
        l_out, u_out = paired(l_out, u_out)
        mask = self.mask(max(len(l_in), len(l_out)), images)
        m_in, m_out = mask[: len(l_in)], mask[: len(l_out)]
        mixed = torch.cat(
            [mix(images[l_in], others[u_in], m_in), mix(others[u_out], images[l_out], m_out)]
        )
        logits = self.student.classify(self.features(self.student, mixed, len(l_in)))
        q_in, q_out = logits.split([len(l_in), len(l_out)])
        labelled = part_loss(q_in, labels[l_in], m_in) + part_loss(q_out, labels[l_out], ~m_out)
        pseudo = part_loss(q_in, target[u_in], ~m_in) + part_loss(q_out, target[u_out], m_out)
        return {"supervised": labelled, "pseudo": self.options.pseudo_weight * pseudo}

    def after_step(self, step: Step) -> None:
        """Update the teacher in the second stage."""
        if step.index >= self.second_stage(step.total):
            update_ema(self.teacher, self.student, self.options.ema_decay)

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        return {"pseudo": self.second_stage(iterations)} if self.options.pseudo_weight else {}
