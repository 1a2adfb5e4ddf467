"""`lclpl` (LCLPL): Chaitanya, Erdil, Karani, Konukoglu, Local contrastive loss with pseudo-label based
self-training for semi-supervised medical image segmentation (Medical Image Analysis 2023).

Stage 1 minimises Dice on labelled images. Stage 2 minimises
L = Dice on labelled images + Dice to pseudo-labels on unlabelled ones + 0.1 L_c.
L_c contrasts pixels by labels and pseudo-labels: for z of foreground class c in image i with partner j
and for each m of (m_ic, m_jc), the class means, -ln exp(cos(z, m)/tau) / sum_{h, k} exp(cos(z, m_hk)/tau)
with h in (i, j), all foreground classes k and tau = 0.1. z = h(x) comes from two 1x1 convolutions on the
last decoder map. There are three anchors per image and class. A snapshot of the network gives the
pseudo-labels. It is refreshed at the start of stage 2 and after each third of it. The stages take a
quarter and three quarters of the run (5,000 and 3 x 5,000 iterations).

Departures from the paper. The form of L_c (the denominator includes the positive class and the means of
both images), the anchors and the lengths are those of the public code. We do not know the paper's
equation numbers. The public code restarts the segmentation head in stage 2, which is three convolutions;
here it is one convolution that continues. The paper corrects pseudo-labels by a conditional random field;
here they are the argmax. Its pairs are two photometric augmentations of images of a second batch, in
which all classes occur; here pairs are random images of the training batch, without a second pass, and
absent classes are left out. A sum of two Dice losses replaces one Dice loss over both parts.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import dice_loss, supervised_loss
from semiseg.losses.local_contrast import draw_anchors, local_contrast
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Method, Step, as_iterations
from semiseg.methods.common.batch_norm import run_parts
from semiseg.methods.common.points import Points, sample_pixels
from semiseg.methods.common.pseudo_label import hard_pseudo_label, predict_probabilities
from semiseg.methods.common.snapshot import refresh_snapshot
from semiseg.methods.common.teacher import frozen_copy


class LCLPLOptions(base.NetworkOptions):
    """Options of ``lclpl``."""

    supervised_until: float = Field(
        0.25, ge=0, description="end of stage 1: fraction of the run, or iteration if >= 1"
    )
    rounds: int = Field(3, ge=1, le=1000, description="rounds of pseudo-labels in stage 2")
    pseudo_weight: float = Field(1.0, ge=0, description="weight of the loss to pseudo-labels")
    contrast_weight: float = Field(0.1, ge=0, description="weight of the contrast")
    temperature: float = Field(0.1, gt=0, description="tau")
    anchors: int = Field(3, ge=1, le=65536, description="anchors per image and foreground class")
    cross_entropy: bool = Field(
        False, description="0.5 (CE + Dice) for labels and pseudo-labels; false: Dice"
    )


class LCLPL(Method):
    """Self-training with a pixel contrast. The trained network is used for inference."""

    Options: ClassVar[type[base.Options]] = LCLPLOptions

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.classes = len(task.classes)
        network = self.add_network()
        self.guide = frozen_copy(network)
        width = network.out_channels[1]
        self.projector = nn.Sequential(
            nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 1, bias=False),
        )  # fmt: skip
        if not self.options.contrast_weight:
            self.projector.requires_grad_(False)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised``; in stage 2 also ``pseudo`` and ``contrast``."""
        o, labelled = self.options, batch.labelled
        start = as_iterations(o.supervised_until, step.total)
        refresh_snapshot(self.guide, self.network, step, at=self.refreshes(step.total))
        images = batch.images if step.index >= start else batch.images[:labelled]
        features = self.features(self.network, images, labelled)
        logits = at_least_single(self.network.classify(features))
        terms = {"supervised": self._segmentation(logits[:labelled], batch.labels)}
        if step.index < start:
            return terms
        labels = batch.labels
        if batch.unlabelled:
            pseudo = hard_pseudo_label(predict_probabilities(self.guide, images[labelled:]))
            terms["pseudo"] = o.pseudo_weight * self._segmentation(logits[labelled:], pseudo)
            labels = torch.cat([labels, pseudo])
        if o.contrast_weight:
            projected = run_parts(
                lambda x: {1: self.projector(x)}, self.projector, features[1], labelled,
                self.config.training.batch_norm,
            )[1]  # fmt: skip
            contrast = local_contrast(
                projected, labels, self.classes,
                draw_anchors(labels, self.classes, o.anchors), draw_partners(labels), o.temperature,
            )  # fmt: skip
            terms["contrast"] = o.contrast_weight * contrast
        return terms

    def refreshes(self, iterations: int) -> set[int]:
        """Return the iterations at which a round of pseudo-labels starts."""
        start = as_iterations(self.options.supervised_until, iterations)
        rounds = self.options.rounds
        return {start + (iterations - start) * i // rounds for i in range(rounds)}

    def _segmentation(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.options.cross_entropy:
            return supervised_loss(logits, labels)
        return dice_loss(logits.softmax(1), labels)

    def embeddings(self, images: Tensor, labels: Tensor) -> dict[str, Points]:
        """See `Method`. Adds the projected pixels."""
        projected = self.projector(self.network.features(images)[1])
        spaces = super().embeddings(images, labels)
        return spaces | {"projected": sample_pixels(projected, labels)}

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        start = as_iterations(self.options.supervised_until, iterations)
        return {"pseudo": start, "contrast": start}


def draw_partners(labels: Tensor) -> Tensor | None:
    """Return a random other image for each of the images of ``labels`` [B, ...]; None for one image."""
    count = len(labels)
    if count < 2:
        return None
    order = torch.randperm(count, device=labels.device)
    partners = torch.empty_like(order)
    partners[order] = order.roll(1)
    return partners
