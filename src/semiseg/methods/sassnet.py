"""`sassnet` (SASSNet): Li, Zhang, He, Shape-aware semi-supervised 3D semantic segmentation for medical
images (MICCAI 2020).

min_theta max_D  Dice(p, y) + 0.3 mean (s - s*)^2 on labelled images
    + w(t) [mean_labelled ln D(s, x) + mean_unlabelled ln(1 - D(s, x))].

p is the softmax of the segmentation head, s the tanh of a second head, and s* the signed distance map of
the label (negative inside). The discriminator D sees s and the image x, and tells labelled from unlabelled
images. w(t) = 0.01 exp(-5 (1 - t/T)^2). One backward pass trains both: the term ``adversarial`` is D's
binary cross entropy, and the gradient of s is reversed and multiplied by w(t).

Departures from the paper. It segments one structure in volumes, with a sigmoid. For several classes, we
use a softmax, one distance map per foreground class, and the mean of the losses over these classes. A
class that an image does not contain has the target 1 everywhere; in the public code it is 0
(``absent_classes``). The min-max form is from memory. The public code instead gives the student the cross
entropy of D(s, x) with the label "labelled", of unlabelled images only, in a pass of its own in which D has
no dropout (``adversarial_on_labelled=false``: of unlabelled images only). 0.3, w (0.015 with 8 labelled
volumes), D's layers and its optimiser are those of the public code; D ends with a global mean, which fits
any size, and its rate has the schedule of the run. Dice has squared denominators and leaves the
background out, as in the public code.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import ParameterGroup, Step
from semiseg.methods.common.distance_head import DistanceMethod, DistanceOptions
from semiseg.methods.common.gradient_reversal import reverse_gradient
from semiseg.methods.common.ramp_up import sigmoid_rampup
from semiseg.networks.stages import CONVOLUTIONS

DROPOUT = {2: nn.Dropout2d, 3: nn.Dropout3d}


class SASSNetOptions(DistanceOptions):
    """Options of ``sassnet``."""

    adversarial_weight: float = Field(
        0.01, ge=0, description="final weight of the adversarial gradient of the student"
    )
    adversarial_on_labelled: bool = Field(
        True, description="whether labelled images have an adversarial gradient"
    )
    discriminator_width: int = Field(
        64, ge=1, le=4096, description="channels of the discriminator's first convolution"
    )
    discriminator_dropout: float = Field(
        0.5, ge=0, lt=1, description="the discriminator's dropout of channels"
    )
    discriminator_learning_rate: float = Field(
        1e-4, gt=0, description="the discriminator's learning rate (Adam)"
    )


class Discriminator(nn.Module):
    """Four convolutions that halve each side, a mean over pixels, and a linear layer."""

    def __init__(self, channels: int, sides: Sequence[int], width: int, dropout: float) -> None:
        """Args: channels: of the maps and the image together; sides: of the input in pixels."""
        super().__init__()
        dims, layers = len(sides), list[nn.Module]()
        for number in range(4):
            wide = width << number
            halved = [side > 1 for side in sides]
            kernel = tuple(4 if half else 3 for half in halved)
            stride = tuple(2 if half else 1 for half in halved)
            layers.append(CONVOLUTIONS[dims](channels, wide, kernel, stride, 1))  # type: ignore[arg-type]
            layers.append(nn.LeakyReLU(0.2))
            if number < 3:
                layers.append(DROPOUT[dims](dropout))
            sides, channels = [max(side // 2, 1) for side in sides], wide
        self.body = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 1)

    def forward(self, distances: Tensor, images: Tensor) -> Tensor:
        """Maps [B, K - 1, ...] and images [B, C, ...] -> logits [B] of being labelled."""
        features: Tensor = self.body(torch.cat([distances, images], 1))
        logits: Tensor = self.classifier(features.flatten(2).mean(2))
        return logits[:, 0]


class SASSNet(DistanceMethod):
    """The distance maps of unlabelled images look like those of labelled ones."""

    Options: ClassVar[type[base.Options]] = SASSNetOptions

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        channels, o = len(task.classes) - 1 + task.channels, self.options
        self.discriminator = Discriminator(
            channels, config.data.sides, o.discriminator_width, o.discriminator_dropout
        )

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised``, ``distance`` and ``adversarial``."""
        labelled, o = batch.labelled, self.options
        probabilities, distances = self.outputs(batch)
        terms = self.supervised_terms(probabilities, distances, batch)
        if not batch.unlabelled:
            return terms
        if not o.adversarial_on_labelled:
            distances = torch.cat([distances[:labelled].detach(), distances[labelled:]])
        weight = o.adversarial_weight * sigmoid_rampup(step.fraction)
        reversed_ = reverse_gradient(distances, weight)
        logits = at_least_single(self.discriminator(reversed_, batch.images))
        # -ln sigmoid(z) = softplus(-z) and -ln(1 - sigmoid(z)) = softplus(z)
        terms["adversarial"] = (
            F.softplus(-logits[:labelled]).mean() + F.softplus(logits[labelled:]).mean()
        )
        return terms

    def parameter_groups(self) -> list[ParameterGroup]:
        """The discriminator has an optimiser of its own."""
        own = list(self.discriminator.parameters())
        held = {id(p) for p in own}
        groups = [
            dataclasses.replace(g, parameters=[p for p in g.parameters if id(p) not in held])
            for g in super().parameter_groups()
        ]
        discriminator = ParameterGroup(
            "discriminator", own, optimiser="adam",
            learning_rate=self.options.discriminator_learning_rate,
            settings={"betas": (0.9, 0.99), "weight_decay": 0.0},
        )  # fmt: skip
        return [*groups, discriminator]
