"""`double-ua` (Double-UA): Wang, Zhang, Tian, Zhong, Shi, Zhang, He, Double-uncertainty weighted method
for semi-supervised learning (MICCAI 2020).

L = 0.5 (CE + Dice) on labelled images + w(t) sum_i e^-(U_s,i + U_f,i) d_i / sum_i e^-(U_s,i + U_f,i) on
all images. d_i = 1/K sum_k (p_ik - q_ik)^2. p is the student's softmax. q is the mean softmax of T = 8
passes of the teacher, with dropout and noise on the images. The segmentation uncertainty is
U_s = -sum_k q_k ln q_k. The feature uncertainty is U_f = -sum_c f_c ln f_c over the channels c of the
teacher's last decoder map: f is the mean over the passes of its softmax over channels.
w(t) = 0.1 exp(-5 (1 - t/T)^2), decay of the teacher 0.99.

Departures from the paper. There is no public code. We rely on its abstract and on memory, and do not know
its equation numbers: a Bayesian teacher, two uncertainties of which one is computed among channels, both
as weights of the inconsistency on labelled and unlabelled images. Our readings: the entropy over channels
of a softmax as U_f; the target is the mean of the passes; the weights are normalised, so that w(t) means
the same for any number of classes and channels. T, noise, w(t) and the decay are those of UA-MT. The
paper's "learnable" loss adds the uncertainty, as e^-U d + U. The teacher's uncertainty has no gradient,
so that this term would change nothing; ``double-ua.entropy_weight`` adds the student's instead.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.losses.consistency import softmax_mse
from semiseg.losses.dice import supervised_loss
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Step
from semiseg.methods.common.monte_carlo import noisy_passes
from semiseg.methods.common.pseudo_label import entropy, soft_pseudo_label
from semiseg.methods.common.teacher_student import TeacherOptions, TeacherStudent
from semiseg.networks.segmenter import Segmenter


class DoubleUAOptions(TeacherOptions):
    """Options of ``double-ua``."""

    passes: int = Field(8, ge=1, le=1000, description="T, passes of the teacher")
    noise: float = Field(0.1, ge=0, description="standard deviation of the noise on the images")
    segmentation_uncertainty: bool = Field(True, description="whether U_s is part of the weights")
    feature_uncertainty: bool = Field(True, description="whether U_f is part of the weights")
    on_labelled: bool = Field(True, description="whether the consistency includes labelled images")
    entropy_weight: float = Field(
        0.0, ge=0, description="weight of the student's mean entropy, relative to the consistency"
    )


class DoubleUA(TeacherStudent):
    """A mean teacher whose consistency is weighted by two uncertainties."""

    Options: ClassVar[type[base.Options]] = DoubleUAOptions

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``consistency``."""
        o, labelled = self.options, batch.labelled
        logits = at_least_single(self.student_logits(batch))
        terms = {"supervised": supervised_loss(logits[:labelled], batch.labels)}
        first = 0 if o.on_labelled else labelled
        if first == len(logits):
            return terms
        target, of_classes, of_features = bayesian_passes(
            self.teacher, batch.images[first:], o.passes, o.noise
        )
        uncertainty = torch.zeros_like(of_classes)
        if o.segmentation_uncertainty:
            uncertainty = uncertainty + of_classes
        if o.feature_uncertainty:
            uncertainty = uncertainty + of_features
        p = logits[first:].softmax(1)
        consistency = softmax_mse(p, target, (-uncertainty).exp())
        if o.entropy_weight:
            consistency = consistency + o.entropy_weight * entropy(p).mean()
        terms["consistency"] = self.consistency_weight(step) * consistency
        return terms


def bayesian_passes(
    teacher: Segmenter, images: Tensor, passes: int, noise: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the teacher's mean prediction and its two uncertainties, without a gradient.

    Args:
        teacher: a network with dropout.
        images: [B, C, ...].
        passes: T.
        noise: standard deviation of the noise on the images; it is clamped to twice this value.

    Returns:
        q [B, K, ...]; U_s [B, ...] between 0 and ln K; U_f [B, ...] between 0 and ln of the number of
        channels. Both uncertainties are in nats.
    """

    def run(seen: Tensor) -> tuple[Tensor, Tensor]:
        features = teacher.features(seen)
        return soft_pseudo_label(teacher.classify(features)), soft_pseudo_label(features[1])

    classes: Tensor | float = 0.0
    channels: Tensor | float = 0.0
    for of_classes, of_channels in noisy_passes(teacher, run, images, passes, noise, 2 * noise):
        classes = classes + of_classes / passes
        channels = channels + of_channels / passes
    assert isinstance(classes, Tensor)
    assert isinstance(channels, Tensor)
    return classes, entropy(classes), entropy(channels)
