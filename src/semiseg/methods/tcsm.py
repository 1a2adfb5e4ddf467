"""`tcsm` (TCSM): Li, Yu, Chen, Fu, Xing, Heng, Transformation-consistent self-ensembling model for
semi-supervised medical image segmentation (TNNLS 2020; first version: BMVC 2018).

L = 0.5 (CE + Dice) on labelled images + w(t) MSE(f(pi(x)), pi(g(x))) on all images. f is the student's
softmax, g the teacher's; the teacher is the moving average of the student. pi is drawn for each image and
step: a quarter turn, a flip and a scale in [0.8, 1.2]. MSE is the mean over classes and over the pixels
that lie inside the image before pi. w(t) = exp(-5 (1 - t/T)^2).

Departures from the paper. Its supervised loss is a cross entropy with class weights of its data sets. Decay
0.999, largest weight 1 and the scales are those of public code, where w(t) rises over 600 epochs instead of
the run and the consistency has only unlabelled images by default (``tcsm.on_labelled=false``). Gaussian noise
on the images is left out: its deviation in public code is 0.5 of grey values up to 255. The paper has dropout
in both networks. Here only the student has it. Volumes, which the paper cuts into slices, are transformed in
the plane of their slices. A plane whose sides or spacings differ has half turns instead of quarter turns.
With ``training.batch_norm=apart`` and labelled images in the consistency, the transformed images of the
student are one group for batch norm, and so are the images of the teacher.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.consistency import softmax_mse
from semiseg.losses.dice import supervised_loss
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Step
from semiseg.methods.common.plane_transform import apply_transforms, draw_transforms, inside
from semiseg.methods.common.quarter_turns import allows_quarter_turns
from semiseg.methods.common.teacher_student import TeacherOptions, TeacherStudent
from semiseg.networks.build import spacing_of


class TCSMOptions(TeacherOptions):
    """Options of ``tcsm``."""

    consistency_weight: float = Field(1.0, ge=0, description="final weight of the consistency")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="decay of the teacher")
    smallest_scale: float = Field(0.8, gt=0, le=1, description="smallest scale of an image")
    largest_scale: float = Field(1.2, ge=1, description="largest scale of an image")
    on_labelled: bool = Field(True, description="whether the consistency includes labelled images")


class TCSM(TeacherStudent):
    """The student's prediction of a transformed image is the teacher's prediction, transformed."""

    Options: ClassVar[type[base.Options]] = TCSMOptions

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.quarter = allows_quarter_turns(config.data.sides, spacing_of(task, config))

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``consistency``."""
        labelled, o = batch.labelled, self.options
        images = batch.images[0 if o.on_labelled else labelled :]
        sides = images.shape[2:]
        scales = (o.smallest_scale, o.largest_scale)
        transforms = draw_transforms(len(images), images.device, self.quarter, scales)
        seen = torch.cat([batch.images[:labelled], apply_transforms(images, transforms)])
        logits = at_least_single(self.student.classify(self.features(self.student, seen, labelled)))
        terms = {"supervised": supervised_loss(logits[:labelled], batch.labels)}
        if not len(images):
            return terms
        weight = self.consistency_weight(step)
        if not weight:  # no pass of the teacher
            return terms | {"consistency": logits.new_zeros(())}
        prediction = self.teacher_probabilities(images)
        target = apply_transforms(prediction, transforms, outside="border")
        consistency = softmax_mse(logits[labelled:].softmax(1), target, inside(transforms, sides))
        return terms | {"consistency": weight * consistency}
