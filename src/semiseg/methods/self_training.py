"""`self-training`: a student learns from pseudo-labels of its moving average, with optional ingredients of
recent methods.

L = 0.5 (CE + Dice) on labelled images + w(t) 0.5 (CE + Dice) of the student's prediction of a strong view
and the teacher's pseudo-label of the unlabelled image. The teacher is the moving average of the student with
decay min(1 - 1/(t + 1), d) (Tarvainen and Valpola, NeurIPS 2017); it is used for inference. Pseudo-labels
are the teacher's argmax (Lee, ICML workshop 2013) or its probabilities.

This is no paper's method. Each ingredient is an option, so that its worth can be measured alone:

- ``brightness``, ``contrast``, ``gamma``, ``blur``, ``noise``: photometric changes of the strong view;
  with probabilities of their own a gamma of the inverted image (``inverted_gamma_probability``) and
  ``low_resolution`` (both as in nnU-Net: Isensee et al., Nature Methods 2021).
- ``cutmix_probability``: a box of another unlabelled image, with its pseudo-label (French et al., BMVC 2020).
- ``copy_paste_probability``: a box of a labelled image, with its label (Bai et al., CVPR 2023, one way).
- ``threshold``: only pixels with a confidence of at least this (Sohn et al., NeurIPS 2020).
- ``largest_component``: each class of a pseudo-label keeps its largest component (Bai et al.).
- ``dropped_channels``: a share of the channels of the encoder's maps is dropped for unlabelled images
  (UniMatch, Yang et al., CVPR 2023); the strong view and this perturbation share one pass.
- ``starts_at`` and ``rampup``: labelled images alone at first, and a weight that rises linearly.
- ``guard``: protection against pseudo-labels that lose a class (`VanishedClasses`). If they have lost every
  class, their weight is 0.
- ``deep_supervision``: coarser maps of the student's decoder learn from labels and pseudo-labels too.

With ``pseudo_weight=0``, or on data without unlabelled images, it trains on labelled images alone, and
the moving average of the network predicts.
"""

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import supervised_loss
from semiseg.losses.ignore import one_hot
from semiseg.losses.pseudo_label import soft_label_loss
from semiseg.methods import base
from semiseg.methods.base import Step, as_iterations
from semiseg.methods.common.batch_norm import batch_statistics
from semiseg.methods.common.deep_supervision import (
    DeepSupervision,
    DeepSupervisionOptions,
    deep_loss,
)
from semiseg.methods.common.largest_component import largest_component
from semiseg.methods.common.mixing import (
    another_image,
    copy_paste_mask,
    cutmix_mask,
    in_some_images,
    mix,
)
from semiseg.methods.common.perturb import drop_channels
from semiseg.methods.common.photometric import PhotometricRanges, photometric_augment
from semiseg.methods.common.pseudo_label import (
    confidence_mask,
    hard_pseudo_label,
    ignore_outside,
)
from semiseg.methods.common.ramp_up import linear_rampup
from semiseg.methods.common.teacher_student import TeacherStudent
from semiseg.methods.common.vanished_classes import VanishedClasses
from semiseg.networks.build import spacing_of

REMARKABLE = 0.2  # part of the steps without a class; at the beginning pseudo-labels are empty
Range = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]
Factor = Annotated[float, Field(gt=0, le=1)]


class SelfTrainingOptions(DeepSupervisionOptions):
    """Options of ``self-training``."""

    targets: Literal["hard", "soft"] = Field(
        "hard", description="pseudo-labels: the teacher's argmax, or its probabilities"
    )
    pseudo_weight: float = Field(
        0.5, ge=0, description="weight of the pseudo-labels; 0: unlabelled images are not used"
    )
    batch: Literal["whole", "labelled"] | None = Field(
        None,
        description="labelled images per step if unlabelled ones are not used: batch_size or "
        "labelled_batch_size; null: batch_size if the data have none, labelled_batch_size otherwise",
    )
    starts_at: float = Field(
        0.0,
        ge=0,
        description="start of the pseudo-labels: fraction of the run, or iteration if >= 1",
    )
    rampup: float = Field(
        0.0, ge=0, le=1, description="length of the linear ramp-up of their weight, part of the run"
    )
    ema_decay: float = Field(0.99, ge=0, lt=1, description="decay of the teacher")
    threshold: float = Field(0.0, ge=0, le=1, description="lowest confidence of a pseudo-label")
    largest_component: bool = Field(
        False, description="whether a class of a pseudo-label keeps its largest component only"
    )
    photometric_probability: float = Field(
        0.5,
        ge=0,
        le=1,
        description="strong view: probability of brightness, of contrast, of gamma, of blur and of noise",
    )
    brightness: float = Field(
        0.1, ge=0, description="largest shift, as a fraction of the image's range"
    )
    contrast: Range = Field(
        (0.8, 1.25), description="range of the factor of the deviation from the mean"
    )
    gamma: Range = Field((0.8, 1.25), description="range of the exponent")
    blur: Range = Field((0.0, 0.5), description="range of the standard deviation, in pixels")
    noise: float = Field(
        0.05, ge=0, description="largest standard deviation, as a fraction of the image's range"
    )
    inverted_gamma_probability: float = Field(
        0.0, ge=0, le=1, description="probability of a gamma of the inverted image"
    )
    low_resolution: tuple[Factor, Factor] = Field(
        (0.5, 1.0), description="range of the factor by which the resolution is reduced"
    )
    low_resolution_probability: float = Field(
        0.0, ge=0, le=1, description="probability of a low resolution"
    )
    cutmix_probability: float = Field(
        0.0, ge=0, le=1, description="probability of a box of another unlabelled image"
    )
    copy_paste_probability: float = Field(
        0.0, ge=0, le=1, description="probability of a box of a labelled image"
    )
    dropped_channels: float = Field(
        0.0, ge=0, lt=1, description="probability that a channel of an encoder map is dropped"
    )
    on_labelled: bool = Field(
        False, description="whether labelled images are seen in a strong view as well"
    )
    guard: bool = Field(
        False,
        description="whether likely pixels of a class that pseudo-labels have lost are ignored",
    )

    @model_validator(mode="after")
    def _of_hard_targets(self) -> "SelfTrainingOptions":
        if self.targets == "soft" and (self.threshold or self.largest_component or self.guard):
            raise ValueError("threshold, largest_component and guard need targets=hard")
        return self


class SelfTraining(TeacherStudent):
    """A student, and the teacher that is its moving average. The teacher is used for inference."""

    Options: ClassVar[type[base.Options]] = SelfTrainingOptions
    networks: ClassVar[tuple[str, ...]] = ("teacher", "student")
    labels_suffice = True
    fills_batch = None

    @classmethod
    def reads_unlabelled(cls, config: RunConfig) -> bool:
        """See `Method`."""
        options: Any = cls.Options.model_validate(config.options)
        return bool(options.pseudo_weight)

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.guard = VanishedClasses(len(task.classes)) if self.options.guard else None
        batch = self.options.batch
        self.fills_batch = None if batch is None else batch == "whole"
        count, option = self.options.deep_supervision, "self-training.deep_supervision"
        self.deep = DeepSupervision(self.student, len(task.classes), count, option)

    def consistency_weight(self, step: Step) -> float:
        """Return w(t): 0 before ``starts_at``, then rising linearly over ``rampup``."""
        o: SelfTrainingOptions = self.options
        start = as_iterations(o.starts_at, step.total)
        if step.index < start:
            return 0.0
        return o.pseudo_weight * linear_rampup((step.index - start) / step.total, o.rampup)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and, with unlabelled images, ``pseudo``."""
        labelled, weight = batch.labelled, self.consistency_weight(step)
        own, others = batch.images[:labelled], batch.images[labelled:]
        if self.options.on_labelled:
            own = self.strong(own)
        if not len(others) or not weight:
            outputs = self.classified(self.features(self.student, own, labelled))
            terms = {"supervised": deep_loss(outputs, batch.labels, supervised_loss)}
            return terms | ({"pseudo": outputs[0].new_zeros(())} if len(others) else {})
        seen, target = self.strong_view(others, self.target(others, batch.labels), batch)
        outputs = self.outputs(torch.cat([own, seen]), labelled)
        pseudo = deep_loss([y[labelled:] for y in outputs], target, self.pseudo_loss)
        supervised = deep_loss([y[:labelled] for y in outputs], batch.labels, supervised_loss)
        if self.guard is not None:
            pseudo = pseudo * self.guard.usable()
        return {"supervised": supervised, "pseudo": weight * pseudo}

    def target(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the teacher's pseudo-labels of images [U, C, ...]: [U, ...], or [U, K, ...] if soft.

        ``labels`` [L, ...] are those of the same step, for the guard.
        """
        o: SelfTrainingOptions = self.options
        probabilities = self.teacher_probabilities(images)
        if o.targets == "soft":
            return probabilities
        label = hard_pseudo_label(probabilities)
        if o.largest_component:
            label = largest_component(label)
        if self.guard is not None:
            self.guard.update(labels, label)
            label = self.guard.ignore(label, probabilities)
        return (
            ignore_outside(label, confidence_mask(probabilities, o.threshold))
            if o.threshold
            else label
        )

    def strong(self, images: Tensor) -> Tensor:
        """Return the images [B, C, ...] with photometric changes."""
        spacing = spacing_of(self.task, self.config)
        o: SelfTrainingOptions = self.options
        ranges = PhotometricRanges(
            brightness=o.brightness, contrast=o.contrast, gamma=o.gamma, blur=o.blur, noise=o.noise,
            probability=o.photometric_probability,
            inverted_gamma_probability=o.inverted_gamma_probability,
            low_resolution=o.low_resolution,
            low_resolution_probability=o.low_resolution_probability,
        )  # fmt: skip
        return photometric_augment(images, ranges, spacing)

    def strong_view(self, images: Tensor, target: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the strong view of images [U, C, ...] and the targets that belong to it."""
        o: SelfTrainingOptions = self.options
        seen, sides = self.strong(images), images.shape[2:]
        if o.cutmix_probability:
            mask = cutmix_mask(len(seen), sides, seen.device, probability=o.cutmix_probability)
            other = another_image(len(seen), seen.device)
            seen, target = mix(seen, seen[other], mask), mix(target, target[other], mask)
        if o.copy_paste_probability and batch.labelled:
            mask = copy_paste_mask(len(seen), sides, seen.device)
            mask = in_some_images(mask, o.copy_paste_probability)
            source = torch.randint(batch.labelled, (len(seen),), device=seen.device)
            labels = batch.labels[source]
            if o.targets == "soft":
                labels = one_hot(labels, target.shape[1], target.dtype)
            seen = mix(seen, self.strong(batch.images[source]), mask)
            target = mix(target, labels, mask)
        return seen, target

    def outputs(self, images: Tensor, labelled: int) -> list[Tensor]:
        """Return the student's logits of images, labelled ones first; see ``dropped_channels``.

        The first tensor has full resolution, the others are those of `DeepSupervision`.
        """
        o: SelfTrainingOptions = self.options
        if not o.dropped_channels:
            return self.classified(self.features(self.student, images, labelled))
        student = self.student
        own = self.classified(self.features(student, images[:labelled], labelled))
        with batch_statistics(student):
            maps = drop_channels(student.encode(images[labelled:]), o.dropped_channels)
            others = self.classified(student.decode(maps))
        return [torch.cat(pair) for pair in zip(own, others, strict=True)]

    def classified(self, features: dict[int, Tensor]) -> list[Tensor]:
        """Return the logits of the student's maps by reduction, fine to coarse."""
        return [self.student.classify(features), *self.deep(features)]

    def pseudo_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """0.5 (CE + Dice) with hard or soft targets."""
        loss = soft_label_loss if self.options.targets == "soft" else supervised_loss
        return loss(logits, target)

    def remarks(self) -> list[str]:
        """See `Method`."""
        if self.guard is None or not self.guard.steps:
            return []
        shares = (self.guard.vanished_steps / self.guard.steps).tolist()
        return [
            f"The pseudo-labels lacked {name} in {share:.0%} of the steps. Pixels that probably belong to it "
            "had no pseudo-label then."
            for name, share in zip(self.task.classes, shares, strict=True)
            if share > REMARKABLE
        ]

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        o: SelfTrainingOptions = self.options
        return {"pseudo": as_iterations(o.starts_at, iterations)} if o.pseudo_weight else {}
