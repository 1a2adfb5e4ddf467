"""`triple-ua` (Triple-UA): Wang, Zhan, Zu, Wu, Zhou, Zhou, Wang, Tripled-uncertainty guided mean teacher
model for semi-supervised medical image segmentation (MICCAI 2021).

One encoder has three decoders: segmentation p, signed distance maps s (one per foreground class, after a
tanh), and reconstruction r of the image's foreground x y and background x (1 - y). r sees the deepest map
only. x is the image with noise.
L = Dice(p, y) + 0.2 MSE(r) + 0.3 MSE(s) on labelled images
+ 0.1 MSE(r, foreground and background of argmax p) on unlabelled images
+ w(t) sum over tasks of mean [U' (student - teacher)^2] on all images.
The teacher's targets come from K = 8 passes with dropout and noise. For segmentation the target q is
sum_k e^c_k q_k / sum_k e^c_k (uncertainty weighted integration), where c = 1 - entropy / ln(classes), and
U' = c of q. For the other tasks the target is the mean, and U' = e^-U for each channel: U is the variance
of the passes for s, and their standard deviation for r. The mean is not divided by the sum of U'.
Noise: clamp(0.02 N, -0.05, 0.05); w(t) = 0.1 exp(-5 (1 - t/T)^2); decay min(1 - 1/(t + 1), 0.99).

Departures from the public code (github.com/DeepMedLab/Tri-U-MT). It has two classes. We have one distance map
per foreground class, y is 1 in all foreground classes, and c divides by ln(classes): for two classes, 1 minus
the code's entropy in bits. The map of a class that an image does not contain is 1, in the code 0
(``absent_classes``). On unlabelled images the code also trains s towards the distance map of argmax p. That
is a computation on the CPU in each step, and we leave it out. The code compares maps in [0, 1], and doubles
the student's on labelled images; we compare maps in [-1, 1]. The code ends r with a sigmoid; we do not,
because images need not be in [0, 1]. The decoder of r gets zeros in place of the skip connections. The
weights of MSE(r) and MSE(s) are not in the code; 0.2 and 0.3 are ours (0.3 as in SASSNet and DTC). Dice is
the package's, with squared denominators and sums over the batch. Optimiser and network are those of the run.
The code has Adam with 5e-4 (5e-5 for the decoders of s and r), and a U-Net of its own with dropout of
channels (0.5) at the bottom of the teacher. As in the code, the student has no dropout
(``student_dropout``).
"""

import math
from typing import ClassVar, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import dice_loss
from semiseg.losses.precision import at_least_single
from semiseg.losses.triple_ua import reconstruction_mse, weighted_mse
from semiseg.methods import base
from semiseg.methods.base import Step
from semiseg.methods.common.batch_norm import run_parts
from semiseg.methods.common.distance_head import DistanceOptions, distance_error
from semiseg.methods.common.input_noise import input_noise
from semiseg.methods.common.monte_carlo import noisy_passes
from semiseg.methods.common.pseudo_label import entropy, hard_pseudo_label
from semiseg.methods.common.teacher import ema_decay_at, frozen_copy, update_ema
from semiseg.methods.common.teacher_student import TeacherOptions, TeacherStudent
from semiseg.networks.backbone import Stages
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.swin_unet import DropPath

SEGMENTATION, RECONSTRUCTION, DISTANCE = range(3)
TASKS = ("segmentation", "reconstruction", "distance")


class TripleUAOptions(TeacherOptions, DistanceOptions):
    """Options of ``triple-ua``."""

    passes: int = Field(8, ge=1, le=1000, description="K, passes of the teacher")
    noise: float = Field(0.02, ge=0, description="standard deviation of the noise on the images")
    noise_limit: float = Field(0.05, ge=0, description="largest absolute value of the noise")
    student_dropout: bool = Field(False, description="whether the student has dropout")
    background: bool = Field(True, description="whether the Dice loss includes the background")
    reconstruction_weight: float = Field(0.2, ge=0, description="weight of the reconstruction")
    mutual_weight: float = Field(
        0.1,
        ge=0,
        description="weight of the reconstruction that unlabelled images' own masks teach",
    )
    on_labelled: bool = Field(True, description="whether the consistency includes labelled images")


class Target(NamedTuple):
    """The teacher's output of one task."""

    mean: Tensor
    """[B, channels, ...]."""
    weight: Tensor
    """U', [B, channels, ...] or [B, 1, ...], between 0 and 1."""


class OtherTasks(nn.Module):
    """The decoders and heads of reconstruction and distance maps."""

    def __init__(self, network: Segmenter, channels: int, classes: int) -> None:
        """Args: network: the segmenter; channels: of an image; classes: K."""
        super().__init__()
        self.decoders = nn.ModuleDict({name: network.new_decoder() for name in TASKS[1:]})
        self.heads = nn.ModuleDict(
            {
                "reconstruction": network.new_head(2 * channels),
                "distance": network.new_head(classes - 1),
            }
        )


class TripleUA(TeacherStudent):
    """A mean teacher of three tasks, each weighted by its own uncertainty."""

    Options: ClassVar[type[base.Options]] = TripleUAOptions
    needs_distance_maps = True

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.tasks = OtherTasks(self.student, task.channels, len(task.classes))
        self.teacher_tasks = frozen_copy(self.tasks)
        if not self.options.student_dropout:
            for network in (self.student, self.tasks):
                remove_dropout(network)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised``, ``reconstruction``, ``distance``, ``mutual``, ``consistency_*``."""
        o, labelled, labels = self.options, batch.labelled, batch.labels
        images = input_noise(batch.images, o.noise, o.noise_limit)
        found = run_parts(
            lambda x: outputs(self.student, self.tasks, x),
            self, images, labelled, self.config.training.batch_norm,
        )  # fmt: skip
        p, r, s = (found[number] for number in range(3))
        error = distance_error(s[:labelled], batch, o.absent_classes)
        terms = {
            "supervised": dice_loss(p[:labelled], labels, background=o.background),
            "reconstruction": o.reconstruction_weight
            * reconstruction_mse(r[:labelled], images[:labelled], labels),
            "distance": o.distance_weight * error,
        }
        if batch.unlabelled:
            mask = hard_pseudo_label(p[labelled:])
            own = reconstruction_mse(r[labelled:], images[labelled:], mask)
            terms["mutual"] = o.mutual_weight * own
        first = 0 if o.on_labelled else labelled
        if first == len(images):
            return terms
        weight = self.consistency_weight(step)
        for number, target in enumerate(self.targets(batch.images[first:])):
            consistency = weighted_mse(found[number][first:], target.mean, target.weight)
            terms[f"consistency_{TASKS[number]}"] = weight * consistency
        return terms

    def targets(self, images: Tensor) -> list[Target]:
        """Return the teacher's targets of the three tasks, without a gradient.

        Args:
            images: [B, C, ...].
        """
        o = self.options
        integrated = total = torch.zeros(())
        means: dict[int, Tensor] = {}
        spreads: dict[int, Tensor] = {}
        outputs_of_passes = noisy_passes(
            nn.ModuleList([self.teacher, self.teacher_tasks]),
            lambda x: outputs(self.teacher, self.teacher_tasks, x),
            images, o.passes, o.noise, o.noise_limit,
        )  # fmt: skip
        for number, found in enumerate(outputs_of_passes, 1):
            q = found.pop(SEGMENTATION)
            share = certainty(q).exp()
            integrated, total = integrated + share * q, total + share
            for task, x in found.items():  # mean and sum of squares as in Welford 1962
                before = means.get(task, torch.zeros_like(x))
                means[task] = before + (x - before) / number
                spread = (x - before) * (x - means[task])
                spreads[task] = spreads.get(task, torch.zeros_like(x)) + spread
        mean = integrated / total
        variances = {task: s / max(o.passes - 1, 1) for task, s in spreads.items()}
        deviation = variances[RECONSTRUCTION].sqrt()
        return [
            Target(mean, certainty(mean)),
            Target(means[RECONSTRUCTION], (-deviation).exp()),
            Target(means[DISTANCE], (-variances[DISTANCE]).exp()),
        ]

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        starts = super().active_from(iterations).values()
        return {f"consistency_{task}": start for task in TASKS for start in starts}

    def after_step(self, step: Step) -> None:
        """Update the teacher and its decoders."""
        super().after_step(step)
        decay = ema_decay_at(step.index, self.options.ema_decay)
        update_ema(self.teacher_tasks, self.tasks, decay)


def outputs(network: Segmenter, tasks: OtherTasks, images: Tensor) -> dict[int, Tensor]:
    """Return probabilities, reconstruction and distance maps [B, channels, ...] by task."""
    maps = network.encode(images)
    deepest = [*(torch.zeros_like(skip) for skip in maps[:-1]), maps[-1]]
    found = {SEGMENTATION: at_least_single(network.classify(network.decode(maps))).softmax(1)}
    for task, given in ((RECONSTRUCTION, deepest), (DISTANCE, maps)):
        decoder = cast(Stages, tasks.decoders[TASKS[task]])
        found[task] = at_least_single(tasks.heads[TASKS[task]](network.decode(given, decoder)[1]))
    found[DISTANCE] = found[DISTANCE].tanh()
    return found


def certainty(probabilities: Tensor) -> Tensor:
    """Return c = 1 - entropy / ln K: [B, K, ...] -> [B, 1, ...], between 0 and 1."""
    share = entropy(probabilities) / math.log(probabilities.shape[1])
    return (1 - share)[:, None].clamp(min=0)  # rounding: the entropy may exceed ln K


def remove_dropout(network: nn.Module) -> None:
    """Set the rates of dropout and stochastic depth to 0."""
    for module in network.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        elif isinstance(module, DropPath):
            module.rate = 0.0
