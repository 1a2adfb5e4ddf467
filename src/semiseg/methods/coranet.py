"""`coranet` (CoraNet): Shi, Zhang, Ling, Lu, Zheng, Yu, Qi, Gao, Inconsistency-aware uncertainty estimation
for semi-supervised medical image segmentation (IEEE Transactions on Medical Imaging 2022).

L_s = 1/4 [CE(p, y) + Dice(p, y) + CE_r(r, y) + CE_c(c, y)] on labelled images. One decoder has three heads:
the main one (p), a radical one (r) and a conservative one (c). CE_r multiplies the weight of the foreground
classes by 5, CE_c that of the background (the public code has the names the other way round). A pixel of an
unlabelled image is certain if r and c predict the same class there, and then its pseudo-label is the
prediction of the main head:

L_u = 1/2 [CE + Dice](p, argmax p') on certain pixels
    + w(t) 1/3 sum_{h in p, r, c} 1/K sum_k (h_k - h'_k)^2 on uncertain pixels,

where ' is the teacher, the moving average of the student. The first 13% of the run (30 of 231 epochs) have
L_s only. w(t) = 0.1 exp(-5 (1 - t/T)^2).

Departures from the paper. Weights, heads and stages are those of the public code, since we do not remember
the paper's figures; the code multiplies w by another 0.1, sums over the classes, and has the full weight
after 40 epochs. It has two classes, and predicts the pseudo-labels and the certain pixels of all unlabelled
images every 10 epochs with the network itself. We take them from the teacher of each step, whose
predictions the consistency needs anyway. For several classes, all foreground classes have one weight. A
head is one convolution; in the code it follows another block of its own. Dice is the package's.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.consistency import softmax_mse
from semiseg.losses.dice import supervised_loss
from semiseg.losses.precision import at_least_single
from semiseg.losses.weighted_cross_entropy import weighted_cross_entropy
from semiseg.methods import base
from semiseg.methods.base import Step, as_iterations
from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.common.pseudo_label import (
    hard_pseudo_label,
    ignore_outside,
    soft_pseudo_label,
)
from semiseg.methods.common.teacher import ema_decay_at, frozen_copy, update_ema
from semiseg.methods.common.teacher_student import TeacherOptions, TeacherStudent
from semiseg.networks.segmenter import Segmenter


class CoraNetOptions(TeacherOptions):
    """Options of ``coranet``."""

    consistency_from: float = Field(
        30 / 231,
        ge=0,
        description="end of the supervised stage: fraction of the run, or iteration if >= 1",
    )
    certain_weight: float = Field(1.0, ge=0, description="weight of the loss on certain pixels")
    cost: float = Field(
        5.0, ge=1, description="weight of the favoured classes of a biased head; of the others: 1"
    )


class CoraNet(TeacherStudent):
    """Pseudo-labels where two heads of opposite bias agree, and a mean teacher elsewhere."""

    Options: ClassVar[type[base.Options]] = CoraNetOptions
    costs: Tensor

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        classes = len(task.classes)
        self.biased_heads = nn.ModuleList(self.student.new_head(classes) for _ in range(2))
        self.teacher_heads = frozen_copy(self.biased_heads)
        costs = torch.ones(2, classes)  # the radical head's, then the conservative one's
        costs[0, 1:] = costs[1, 0] = self.options.cost
        self.register_buffer("costs", costs, persistent=False)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised``, ``certain`` and ``consistency``."""
        labelled, labels, o = batch.labelled, batch.labels, self.options
        supervised_stage = step.index < as_iterations(o.consistency_from, step.total)
        images = batch.images[:labelled] if supervised_stage else batch.images
        features = self.features(self.student, images, labelled)
        logits = [at_least_single(x) for x in _heads(self.student, self.biased_heads, features)]
        biased = [
            weighted_cross_entropy(x[:labelled], labels, costs)
            for x, costs in zip(logits[1:], self.costs, strict=True)
        ]
        terms = {"supervised": supervised_loss(logits[0][:labelled], labels) / 2 + sum(biased) / 4}
        if len(images) == labelled:
            return terms
        targets = self.teacher_predictions(images[labelled:])
        main, radical, conservative = (hard_pseudo_label(target) for target in targets)
        certain = radical == conservative
        unlabelled = [x[labelled:] for x in logits]
        pseudo_label = ignore_outside(main, certain)
        terms["certain"] = o.certain_weight * supervised_loss(unlabelled[0], pseudo_label)
        errors = [
            softmax_mse(x.softmax(1), target, ~certain)
            for x, target in zip(unlabelled, targets, strict=True)
        ]
        terms["consistency"] = self.consistency_weight(step) * torch.stack(errors).mean()
        return terms

    def teacher_predictions(self, images: Tensor) -> list[Tensor]:
        """Return the teacher's probabilities [B, K, ...] of the main, radical and conservative head."""
        with frozen_pass(self.teacher):
            features = self.teacher.features(images)
            return [
                soft_pseudo_label(x) for x in _heads(self.teacher, self.teacher_heads, features)
            ]

    def after_step(self, step: Step) -> None:
        """Update the teacher and its heads."""
        super().after_step(step)
        decay = ema_decay_at(step.index, self.options.ema_decay)
        update_ema(self.teacher_heads, self.biased_heads, decay)

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        start = as_iterations(self.options.consistency_from, iterations)
        late = {"certain": start} if self.options.certain_weight else {}
        return late | super().active_from(iterations)


def _heads(network: Segmenter, biased: nn.ModuleList, features: dict[int, Tensor]) -> list[Tensor]:
    """Return the logits of the main head and of the biased ones."""
    return [network.classify(features), *(head(features[1]) for head in biased)]
