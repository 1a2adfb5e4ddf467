"""`mean-teacher` (MT): Tarvainen and Valpola, Mean teachers are better role models (NeurIPS 2017).

L = 0.5 (CE + Dice) on labelled images + w(t) 1/K sum_k (p_k - q_k)^2 on unlabelled ones. p is the
student's softmax of x, q the teacher's of x + clamp(0.1 N(0, 1), -0.2, 0.2). The teacher is the moving
average of the student. w(t) = 0.1 exp(-5 (1 - t/T)^2), 0 in the first thirtieth of the run (1,000 of
30,000 iterations).

Departures from the paper. It classifies images: supervised loss, weight, noise and decay are those of the
SSL4MIS benchmark, which the segmentation papers use as "MT". There too only the teacher's input has noise.
The teacher has no dropout; in the benchmark it has. The paper's consistency covers labelled images as well
(``mean-teacher.on_labelled``).
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.losses.consistency import softmax_mse
from semiseg.losses.dice import supervised_loss
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Step
from semiseg.methods.common.input_noise import input_noise
from semiseg.methods.common.teacher_student import TeacherOptions, TeacherStudent


class MeanTeacherOptions(TeacherOptions):
    """Options of ``mean-teacher``."""

    consistency_from: float = Field(
        1 / 30,
        ge=0,
        description="start of the consistency: fraction of the run, or iteration if >= 1",
    )
    on_labelled: bool = Field(
        False, description="whether the consistency includes labelled images, as in the paper"
    )


class MeanTeacher(TeacherStudent):
    """The plain mean teacher."""

    Options: ClassVar[type[base.Options]] = MeanTeacherOptions

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``consistency``."""
        labelled = batch.labelled
        logits = at_least_single(self.student_logits(batch))
        terms = {"supervised": supervised_loss(logits[:labelled], batch.labels)}
        first = 0 if self.options.on_labelled else labelled
        if first == len(logits):
            return terms
        weight = self.consistency_weight(step)
        if not weight:  # no pass of the teacher
            return terms | {"consistency": logits.new_zeros(())}
        images = input_noise(batch.images[first:])
        target = self.teacher_probabilities(images, labelled - first)
        consistency = softmax_mse(logits[first:].softmax(1), target)
        return terms | {"consistency": weight * consistency}
