"""`triple-ua` (Triple-UA): Wang, Zhan, Zu, Wu, Zhou, Zhou, Wang, Tripled-uncertainty guided mean teacher
model for semi-supervised medical image segmentation (MICCAI 2021).

The student has three tasks: segmentation, reconstruction of foreground and background (x y and x (1 - y)
for a mask y of all foreground classes), and a signed distance map per foreground class.
L = 0.5 (CE + Dice) + 0.2 MSE(reconstruction) + 0.3 MSE(distance) on labelled images
+ w(t) sum over tasks of mean_{U < H} (student - teacher)^2 on unlabelled ones.
The teacher's target comes from 8 passes with dropout and noise. For segmentation it is
sum_k e^-u_k q_k / sum_k e^-u_k with the entropy u_k of pass k (uncertainty weighted integration, UWI),
and U is its entropy. For the other tasks it is the mean, and U is the variance. H = (3/4 + 1/4 r(t)) U_max
with r(t) = exp(-5 (1 - t/T)^2) and w(t) = 0.1 r(t); decay of the teacher 0.99.

Departures from the paper. There is no public code. We rely on the paper's abstract (tasks, three
uncertainties, UWI) and on memory, and do not know its equation numbers. Our readings: the tasks are heads
of one decoder; UWI is a softmax over passes of minus the entropy; the gate is UA-MT's, with U_max = ln K
for segmentation and, for a variance, its largest value in the batch. The weights 0.2 and 0.3 are our
choice (0.3 as in SASSNet and DTC). Noise, number of passes, w(t) and decay are those of UA-MT.
"""

import math
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.distance_maps import stacked_maps
from semiseg.data.task import IGNORE_INDEX, Task
from semiseg.losses.dice import supervised_loss
from semiseg.losses.distance import distance_mse
from semiseg.losses.masked_mean import masked_mean
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Step
from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.common.input_noise import input_noise
from semiseg.methods.common.pseudo_label import entropy
from semiseg.methods.common.ramp_up import sigmoid_rampup
from semiseg.methods.common.teacher import ema_decay_at, frozen_copy, update_ema
from semiseg.methods.common.teacher_student import TeacherOptions, TeacherStudent
from semiseg.networks.segmenter import Segmenter

Tasks = dict[str, Tensor]
"""Outputs [B, ..., (D,) H, W] by task: ``segmentation`` (logits or probabilities), ``reconstruction``,
``distance``."""


class TripleUAOptions(TeacherOptions):
    """Options of ``triple-ua``."""

    passes: int = Field(8, ge=1, le=1000, description="passes of the teacher")
    noise: float = Field(0.1, ge=0, description="standard deviation of the noise on the images")
    reconstruction_weight: float = Field(0.2, ge=0, description="weight of the reconstruction")
    distance_weight: float = Field(0.3, ge=0, description="weight of the distance maps")


class Target(NamedTuple):
    """The teacher's output of one task."""

    mean: Tensor
    """[B, channels, ...]."""
    uncertainty: Tensor
    """[B, ...], not negative."""


class TripleUA(TeacherStudent):
    """A mean teacher of three tasks, each gated by its own uncertainty."""

    Options: ClassVar[type[base.Options]] = TripleUAOptions
    needs_distance_maps = True

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.classes = len(task.classes)
        self.heads = nn.ModuleDict(
            {
                "reconstruction": self.student.new_head(2 * task.channels),
                "distance": self.student.new_head(self.classes - 1),
            }
        )
        self.teacher_heads = frozen_copy(self.heads)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised``, ``reconstruction``, ``distance``, ``consistency_*`` of each task."""
        o, labelled = self.options, batch.labelled
        features = self.features(self.student, batch.images, labelled)
        found = outputs(self.student, self.heads, features)
        known = batch.labels != IGNORE_INDEX
        terms = {
            "supervised": supervised_loss(found["segmentation"][:labelled], batch.labels),
            "reconstruction": o.reconstruction_weight
            * reconstruction_loss(
                found["reconstruction"][:labelled], batch.images[:labelled], batch.labels
            ),
            "distance": o.distance_weight
            * distance_mse(found["distance"][:labelled], true_maps(batch, self.classes), known),
        }
        if not batch.unlabelled:
            return terms
        found["segmentation"] = found["segmentation"].softmax(1)
        weight = self.consistency_weight(step)
        for name, target in self.targets(batch.images[labelled:]).items():
            largest = None if name != "segmentation" else math.log(self.classes)
            sure = gate(target.uncertainty, step.fraction, largest)
            error = (found[name][labelled:] - target.mean).square()
            terms[f"consistency_{name}"] = weight * masked_mean(error, sure)
        return terms

    def targets(self, images: Tensor) -> dict[str, Target]:
        """Return the teacher's targets of the three tasks, without a gradient.

        Args:
            images: [B, C, ...].
        """
        o = self.options
        integrated: Tensor | float = 0.0
        total: Tensor | float = 0.0
        means: Tasks = {}
        squares: Tasks = {}
        with frozen_pass(self.teacher, dropout=True):
            for number in range(1, o.passes + 1):
                features = self.teacher.features(input_noise(images, o.noise, 2 * o.noise))
                found = outputs(self.teacher, self.teacher_heads, features)
                q = found.pop("segmentation").softmax(1)
                certainty = (-entropy(q)).exp()[:, None]
                integrated, total = integrated + certainty * q, total + certainty
                for name, x in found.items():  # mean and sum of squares as in Welford 1962
                    before = means.get(name, torch.zeros_like(x))
                    means[name] = before + (x - before) / number
                    spread = (x - before) * (x - means[name])
                    squares[name] = squares.get(name, torch.zeros_like(x)) + spread
            mean = integrated / total
            assert isinstance(mean, Tensor)
            variances = {name: (s / o.passes).mean(1) for name, s in squares.items()}
            return {
                "segmentation": Target(mean, entropy(mean)),
                **{name: Target(x, variances[name]) for name, x in means.items()},
            }

    def after_step(self, step: Step) -> None:
        """Update the teacher and its heads."""
        super().after_step(step)
        decay = ema_decay_at(step.index, self.options.ema_decay)
        update_ema(self.teacher_heads, self.heads, decay)


def outputs(network: Segmenter, heads: nn.ModuleDict, features: dict[int, Tensor]) -> Tasks:
    """Return the logits, the reconstruction and the distance maps (after a tanh)."""
    return {
        "segmentation": at_least_single(network.classify(features)),
        "reconstruction": at_least_single(heads["reconstruction"](features[1])),
        "distance": at_least_single(heads["distance"](features[1])).tanh(),
    }


def reconstruction_loss(found: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean squared error to the image's foreground x y and background x (1 - y).

    Args:
        found: [L, 2 C, ...], foreground first.
        images: [L, C, ...].
        labels: [L, ...] int64 class codes; pixels of ``IGNORE_INDEX`` are left out.

    Returns:
        A scalar.
    """
    y = (labels > 0)[:, None]
    target = torch.cat([images * y, images * ~y], 1)
    return masked_mean((at_least_single(found) - target).square(), labels != IGNORE_INDEX)


def gate(uncertainty: Tensor, fraction: float, largest: float | None) -> Tensor:
    """Return the pixels with U <= H = (3/4 + 1/4 exp(-5 (1 - t/T)^2)) U_max.

    Args:
        uncertainty: U, [B, ...].
        fraction: t/T.
        largest: U_max; None: the largest value of ``uncertainty``.

    Returns:
        [B, ...] bool.
    """
    limit: Tensor | float = uncertainty.amax() if largest is None else largest
    return uncertainty <= (0.75 + 0.25 * sigmoid_rampup(fraction)) * limit


def true_maps(batch: Batch, classes: int) -> Tensor:
    """Return ``batch.distance_maps``; a batch without them, such as a test's, gets them here."""
    if batch.distance_maps is not None:
        return batch.distance_maps
    maps = stacked_maps(batch.labels.cpu(), classes, [None] * batch.labelled)
    return maps.to(batch.labels.device)
