"""`gbdl` (GBDL): Wang, Lukasiewicz, Rethinking Bayesian deep learning methods for semi-supervised
volumetric medical image segmentation (CVPR 2022).

Stage 1 trains a generative model of image x and label y with a Gaussian latent Z: q(Z | x) with full
covariance, p(x | Z), p(y | x, Z). It minimises CE + 2 Dice on labelled images + |x' - x|^2 +
0.005 KL(q(Z | x) || N(0, I)) on all images. Each slice of the coarsest map has a mean m and a covariance
(v v^T + s I)^2; the latent of a volume is their product (`semiseg.losses.gbdl`).
Stage 2 trains a U-Net with dropout, the network for inference: CE + 2 Dice on labelled images and on
unlabelled ones with the mean of M = 5 generated softmaxes as pseudo-labels. The generative model does not
change. Each stage takes half of the run.

Departures from the paper. Weights, stages, the form of the covariance, and the targets of stage 2 (the
argmax for CE, the mean softmax for Dice) are those of the public code. We do not know the paper's equation
numbers. Public code: s = 10 for 32 slices; here s is the square root of the number of slices of the
coarsest map, so that Sigma = I for v = 0. The two streams of the generative model are networks of this
package without dropout and stochastic depth (there: VGG blocks of 64 to 512 channels); average pooling to
4x4 replaces the strided convolution in front of the latent (4x4 there too); the coarsest map of the second
stream is not compressed to a vector; the reconstruction has no tanh, because images here are not limited to
[-1, 1]. The initial v is ten times shorter than that of a linear layer, because the divergence grows with
|v|^4 and SGD at 0.01 would diverge. Both stages share optimiser and rates of the section ``training``
(there: Adam, 1e-4 and 5e-4). Dice has squared denominators and sums over the batch, as in all methods here.
The U-Net's dropout is that of its section (there: 0.3 in the decoder). Inference is one pass without
dropout, not the mean of five with dropout.
"""

import dataclasses
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import dice_loss
from semiseg.losses.gbdl import latent_divergence, soft_dice_loss
from semiseg.losses.ignore import cross_entropy
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Method, ParameterGroup, Step, as_iterations
from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.common.generative import Generator
from semiseg.methods.common.pseudo_label import hard_pseudo_label
from semiseg.networks.build import build_network


class GBDLOptions(base.NetworkOptions):
    """Options of ``gbdl``."""

    generative_until: float = Field(
        0.5, ge=0, description="end of stage 1: fraction of the run, or iteration if >= 1"
    )
    samples: int = Field(5, ge=1, le=1000, description="M, generated labels per pseudo-label")
    latent: int = Field(256, ge=1, le=65536, description="dimension of the latent of a slice")
    scale: float = Field(
        1.0, gt=0, description="s, relative to the square root of the number of slices"
    )
    dice_weight: float = Field(2.0, ge=0, description="weight of the Dice losses")
    reconstruction_weight: float = Field(1.0, ge=0, description="weight of the reconstruction")
    divergence_weight: float = Field(0.005, ge=0, description="weight of the divergence")
    pseudo_weight: float = Field(1.0, ge=0, description="weight of the loss to pseudo-labels")


class GBDL(Method):
    """A generative model, then a network trained on its labels. The latter is used for inference."""

    Options: ClassVar[type[base.Options]] = GBDLOptions

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        o: GBDLOptions = self.options
        self.add_network()
        images, labels = (build_network(task, config, o.network) for _ in range(2))
        self.generator = Generator(images, labels, task.channels, o.latent, o.scale)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms of stage 1: ``supervised``, ``reconstruction``, ``divergence``; of stage 2:
        ``supervised`` and ``pseudo``.
        """
        if step.index < as_iterations(self.options.generative_until, step.total):
            return self._generative_terms(batch)
        o, labelled, count = self.options, batch.labelled, len(batch.images)
        features = self.features(self.network, batch.images, labelled)
        logits = at_least_single(self.network.classify(features))
        # each image has the same weight, with a label or without
        supervised = self._segmentation(logits[:labelled], batch.labels)
        terms = {"supervised": labelled / count * supervised}
        if batch.unlabelled:
            with frozen_pass(self.generator):
                target = self.generator.mean_label(batch.images[labelled:], o.samples)
            guessed = logits[labelled:]
            pseudo = F.cross_entropy(guessed, hard_pseudo_label(target))
            dice = soft_dice_loss(guessed.softmax(1), target, background=False)
            loss = pseudo + o.dice_weight * dice
            terms["pseudo"] = o.pseudo_weight * batch.unlabelled / count * loss
        return terms

    def _generative_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of stage 1: the negative evidence lower bound."""
        o, labelled = self.options, batch.labelled
        parts = [batch.images]
        if self.config.training.batch_norm == "apart" and batch.unlabelled:
            parts = [batch.images[:labelled], batch.images[labelled:]]
        found = [self.generator(images) for images in parts]
        logits, images, mean, vector = (torch.cat(x) for x in zip(*found, strict=True))
        error = (at_least_single(images) - batch.images).square().sum(1).mean()
        divergence = latent_divergence(mean, vector, self.generator.scale_of(mean))
        return {
            "supervised": self._segmentation(at_least_single(logits[:labelled]), batch.labels),
            "reconstruction": o.reconstruction_weight * error,
            "divergence": o.divergence_weight * divergence,
        }

    def _segmentation(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE + 2 Dice of the foreground."""
        dice = dice_loss(logits.softmax(1), labels, background=False)
        loss: Tensor = cross_entropy(logits, labels) + self.options.dice_weight * dice
        return loss

    def parameter_groups(self) -> list[ParameterGroup]:
        """See `Method`. The networks of the generative model follow their section too."""
        found, own = super().parameter_groups(), self.network.config
        rate = (own.learning_rate_scale, own.warmup)
        if rate == (1.0, 0.0):
            return found
        streams = {"images": self.generator.images, "labels": self.generator.labels}
        groups = [
            ParameterGroup(f"generator_{name}", list(stream.parameters()), *rate)
            for name, stream in streams.items()
        ]
        held = {id(p) for group in groups for p in group.parameters}
        others = [
            dataclasses.replace(g, parameters=[p for p in g.parameters if id(p) not in held])
            for g in found
        ]
        return [*others, *groups]

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`. The network for inference does not train before."""
        return {"pseudo": as_iterations(self.options.generative_until, iterations)}
