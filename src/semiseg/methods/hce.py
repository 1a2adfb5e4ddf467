"""`hce` (HCE): Jin, Cui, Sun, Zheng, Wei, Fang, Meng, Su, Semi-supervised histological image segmentation
via hierarchical consistency enforcement (MICCAI 2022).

One encoder has a main decoder (0) and K auxiliary decoders. Auxiliary decoder k takes the encoder's maps, of
which the k-th deepest is perturbed. The teacher is the moving average of encoder and main decoder.

L = S_0 + 1/K sum_k S_k + w(t) (L_teacher + L_self), where S is 0.5 (CE + Dice) on labelled images and the
other terms are on unlabelled images. L_teacher = 1/(K+1) sum_k MSE(p_k, (1 - u) q + u p_k): q is the
teacher's softmax and u its entropy, so an uncertain teacher teaches less (`semiseg.losses.hce`).
L_self = 1/K sum_k MSE(p_0, p_k) makes all decoders agree. w(t) = 0.1 exp(-5 (1 - t/T)^2).

Departures from the paper. We know its abstract, not its equations: "perturbed versions of the hierarchical
features from the encoder as input to the auxiliary decoders", and a "loss with learnable and self-guided
mechanisms" that "facilitates the teacher model to generate reliable guidance and enhances the consistency
among all the decoders". Both losses have the form of the same authors' later public code (PG-FANet), which
supervises all outputs, and whose two perturbations are CCT's: the most active positions are dropped, then
noise is multiplied. There the entropy is in nats; here it is divided by ln K, so it is at most 1 for any
number of classes. The number of levels, one decoder per level, and the means over decoders are ours. With
``hce.level_weights=learned`` the mean of L_teacher is weighted by a trained softmax, another reading of
"learnable": it prefers decoders that already agree with the teacher. The teacher has no dropout; teachers of
the SSL4MIS benchmark have.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.losses.consistency import softmax_mse
from semiseg.losses.dice import supervised_loss
from semiseg.losses.hce import corrected_mse
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Step
from semiseg.methods.common.auxiliary_decoders import AuxiliaryDecoders
from semiseg.methods.common.batch_norm import run_parts
from semiseg.methods.common.perturb import drop_attended, noise_features
from semiseg.methods.common.teacher_student import TeacherOptions, TeacherStudent


class HCEOptions(TeacherOptions):
    """Options of ``hce``."""

    levels: int = Field(
        3, ge=1, description="deepest maps of the encoder that are perturbed, a decoder for each"
    )
    noise: float = Field(0.3, ge=0, le=1, description="largest relative noise of a perturbed map")
    level_weights: Literal["equal", "learned"] = Field(
        "equal", description="weights of the decoders in the consistency with the teacher"
    )


class HCE(TeacherStudent):
    """A mean teacher whose student has auxiliary decoders on perturbed features."""

    Options: ClassVar[type[base.Options]] = HCEOptions

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        levels, depth = self.options.levels, len(self.student.encoder.out_channels)
        if levels > depth:
            raise UserError(
                f"hce.levels={levels} is too many: the encoder of {self.options.network} has {depth} "
                f"maps, so use {depth} or less."
            )
        self.auxiliary = AuxiliaryDecoders(self.student, len(task.classes), [{}] * levels)
        self.level_weights: nn.Parameter | None = None
        if self.options.level_weights == "learned":
            self.level_weights = nn.Parameter(torch.zeros(levels + 1))

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised``, ``supervised_auxiliary``, ``consistency`` and ``self_guided``."""
        labelled = batch.labelled
        outputs = [at_least_single(x) for x in self.all_logits(batch)]
        main, *auxiliary = [supervised_loss(x[:labelled], batch.labels) for x in outputs]
        terms = {"supervised": main, "supervised_auxiliary": torch.stack(auxiliary).mean()}
        if not batch.unlabelled:
            return terms
        weight = self.consistency_weight(step)
        if not weight:  # no pass of the teacher
            return terms | dict.fromkeys(("consistency", "self_guided"), main.new_zeros(()))
        target = self.teacher_probabilities(batch.images[labelled:])
        p = [x[labelled:].softmax(1) for x in outputs]
        guided = torch.stack([corrected_mse(one, target) for one in p])
        own = torch.stack([softmax_mse(p[0], one) for one in p[1:]])
        mean = (
            guided.mean() if self.level_weights is None else self.level_weights.softmax(0) @ guided
        )
        return terms | {"consistency": weight * mean, "self_guided": weight * own.mean()}

    def all_logits(self, batch: Batch) -> list[Tensor]:
        """Return the logits [B, K, ...] of the main and of the auxiliary decoders."""

        def run(images: Tensor) -> dict[int, Tensor]:
            maps = self.student.encode(images)
            logits = self.student.classify(self.student.decode(maps))
            seen = [self.perturbed(maps, level) for level in range(1, self.options.levels + 1)]
            return dict(enumerate([logits, *self.auxiliary(self.student, seen)]))

        batch_norm = self.config.training.batch_norm
        return list(run_parts(run, self, batch.images, batch.labelled, batch_norm).values())

    def perturbed(self, maps: list[Tensor], level: int) -> list[Tensor]:
        """Return the encoder's maps, of which the ``level``-th deepest is perturbed in training."""
        if not self.training:
            return maps
        deep = noise_features(drop_attended(maps[-level]), self.options.noise)
        return [*maps[:-level], deep, *maps[len(maps) - level + 1 :]]

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`: both consistencies start together."""
        starts = super().active_from(iterations)
        if "consistency" in starts:
            starts["self_guided"] = starts["consistency"]
        return starts
