"""`uamt` (UA-MT): Yu, Wang, Li, Fu, Heng, Uncertainty-aware self-ensembling model for semi-supervised 3D
left atrium segmentation (MICCAI 2019).

L = 0.5 (CE + Dice) on labelled images + w(t) L_c. The consistency has only the pixels of which the teacher
is certain (equation 3): L_c = sum_v 1(u_v < H) |p_v - q_v|^2 / sum_v 1(u_v < H). p is the student's softmax
of x, q the teacher's of x + noise with dropout. u_v = -sum_c mu_c ln mu_c is the entropy of the mean mu of
T = 8 such passes of the teacher (equation 2). H = (0.75 + 0.25 exp(-5 (1 - t/T)^2)) ln C. Noise is
clamp(0.1 N(0, 1), -0.2, 0.2) and w(t) = 0.1 exp(-5 (1 - t/T)^2).

Departures from the paper. Equation numbers and statements about the paper are from memory. The squared error
is also a mean over classes. The paper's equation 1 sums the consistency over labelled images as well
(``uamt.on_labelled``); public code and the benchmark that reports "UAMT" leave them out. H is a share of
ln C, the largest entropy of C classes; public code has ln 2 for any number of classes. The target is a pass
of its own, as in public code; ``uamt.target=mean`` takes mu and saves this pass. The passes for mu see
labelled and unlabelled images together, also with ``training.batch_norm=apart``.
"""

import math
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.losses.consistency import softmax_mse
from semiseg.losses.dice import supervised_loss
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Step
from semiseg.methods.common.input_noise import input_noise
from semiseg.methods.common.monte_carlo import monte_carlo
from semiseg.methods.common.ramp_up import sigmoid_rampup
from semiseg.methods.common.teacher_student import TeacherOptions, TeacherStudent


class UAMTOptions(TeacherOptions):
    """Options of ``uamt``."""

    passes: int = Field(8, ge=1, description="passes of the teacher for its uncertainty (T)")
    threshold_from: float = Field(
        0.75, ge=0, le=1, description="entropy below which a pixel is certain at t = 0, in ln C"
    )
    threshold_to: float = Field(1.0, ge=0, le=1, description="the same at the end of the run")
    target: Literal["pass", "mean"] = Field(
        "pass", description="the teacher's target: a pass of its own, or the mean of the passes"
    )
    on_labelled: bool = Field(
        False, description="whether the consistency includes labelled images, as in the paper"
    )


class UAMT(TeacherStudent):
    """A mean teacher whose uncertain pixels are left out."""

    Options: ClassVar[type[base.Options]] = UAMTOptions

    def threshold(self, step: Step) -> float:
        """Return H in nats."""
        o: UAMTOptions = self.options
        share = o.threshold_from + (o.threshold_to - o.threshold_from) * sigmoid_rampup(
            step.fraction
        )
        return share * math.log(len(self.task.classes))

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``consistency``."""
        labelled, o = batch.labelled, self.options
        logits = at_least_single(self.student_logits(batch))
        terms = {"supervised": supervised_loss(logits[:labelled], batch.labels)}
        first = 0 if o.on_labelled else labelled
        if first == len(logits):
            return terms
        weight = self.consistency_weight(step)
        if not weight:  # no passes of the teacher
            return terms | {"consistency": logits.new_zeros(())}
        images = batch.images[first:]
        mean, uncertainty = monte_carlo(self.teacher, images, o.passes)
        target = mean
        if o.target == "pass":
            noisy = input_noise(images)
            target = self.teacher_probabilities(noisy, labelled - first, dropout=True)
        certain = uncertainty < self.threshold(step)
        consistency = softmax_mse(logits[first:].softmax(1), target, certain)
        return terms | {"consistency": weight * consistency}
