"""`ict` (ICT): Verma, Lamb, Kannala, Bengio, Lopez-Paz, Interpolation consistency training for
semi-supervised learning (IJCAI 2019).

L = 0.5 (CE + Dice) on labelled images + w(t) MSE(f(Mix(u, v)), Mix(g(u), g(v))) with
Mix(a, b) = lambda a + (1 - lambda) b and lambda ~ Beta(0.2, 0.2) for each pair of unlabelled images u, v
(the paper's algorithm 1). f is the student's softmax, g the teacher's; the teacher is the moving average of
the student. MSE is the mean over pixels and classes. w(t) = 0.1 exp(-5 (1 - t/T)^2).

Departures from the paper. It classifies images: supervised loss, alpha = 0.2, weight and decay are those of
the SSL4MIS benchmark, which the segmentation papers use as "ICT" (from memory: the paper chooses alpha for
each data set and has larger weights). As there, u and v are the two halves of a batch's unlabelled images. If
their number is odd, the middle one is in both halves; one image alone is mixed with itself, which leaves it
unchanged. The teacher has no dropout; in the benchmark it has. The student sees labelled and mixed images in
one pass.
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
from semiseg.methods.common.mixing import mixup, mixup_factors
from semiseg.methods.common.teacher_student import TeacherOptions, TeacherStudent


class ICTOptions(TeacherOptions):
    """Options of ``ict``."""

    alpha: float = Field(0.2, gt=0, description="alpha of lambda ~ Beta(alpha, alpha)")


class ICT(TeacherStudent):
    """The student's prediction of a mix of two images is the mix of the teacher's predictions."""

    Options: ClassVar[type[base.Options]] = ICTOptions

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``consistency``."""
        labelled, unlabelled = batch.labelled, batch.images[batch.labelled :]
        factors = mixup_factors((len(unlabelled) + 1) // 2, self.options.alpha, unlabelled.device)
        mixed = mixup(*halves(unlabelled), factors)
        images = torch.cat([batch.images[:labelled], mixed])
        features = self.features(self.student, images, labelled)
        logits = at_least_single(self.student.classify(features))
        terms = {"supervised": supervised_loss(logits[:labelled], batch.labels)}
        if not len(unlabelled):
            return terms
        weight = self.consistency_weight(step)
        if not weight:  # no pass of the teacher
            return terms | {"consistency": logits.new_zeros(())}
        target = mixup(*halves(self.teacher_probabilities(unlabelled)), factors)
        consistency = softmax_mse(logits[labelled:].softmax(1), target)
        return terms | {"consistency": weight * consistency}


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """[N, ...] -> the first and the last ceil(N/2) of N; for an odd N both contain the middle one."""
    return x[: (len(x) + 1) // 2], x[len(x) // 2 :]
