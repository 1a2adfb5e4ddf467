"""`fixmatch` (FixMatch): Sohn et al., FixMatch: simplifying semi-supervised learning with consistency and
confidence (NeurIPS 2020), for segmentation as in UniMatch (Yang et al., CVPR 2023; equations 1 and 2).

L = (L_s + L_u) / 2, L_s = 0.5 (CE + Dice) on labelled images. The network predicts the weak view of an
unlabelled image, p_w. L_u = Dice(p_s, argmax p_w) over the pixels with max p_w >= 0.95, where p_s is the
prediction of a strong view: colour jitter, blur and CutMix. The pseudo-label and its mask are mixed as the
image is. There is no teacher.

Departures from the paper. FixMatch classifies images with cross entropy, RandAugment and Cutout. Dice alone,
the strong view and the factor 1/2 are those of UniMatch's experiments on ACDC (public code). CutMix takes its
second image from the same batch; the public code loads a second unlabelled batch. With one unlabelled image
CutMix has no effect. CutMix's box has another distribution of shapes, and none is drawn again
(`semiseg.methods.common.mixing.cutmix_mask`). The colour operations have a fixed order. Images keep their own
range. The weak view is the loader's. Batch norm: in the public code, labelled images and weak views share a
pass and its statistics, the strong views (two in UniMatch) share another, both passes change the running
averages, and the pseudo-label of CutMix's second image is predicted in eval mode. Here weak views have a
pass of their own, with dropout as there and with batch norm's statistics of these images; it gives the
second image's pseudo-label too and does not change the running averages. Labelled images and strong views
share a pass; under ``training.batch_norm=together`` they share its statistics, and both change the running
averages. Without unlabelled images L is L_s / 2. The facts on the public code are from memory.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import supervised_loss
from semiseg.losses.pseudo_label import pseudo_label_dice
from semiseg.methods import base
from semiseg.methods.base import Method, Step
from semiseg.methods.common.pseudo_label import confident_pseudo_label, predict_probabilities
from semiseg.methods.common.strong_view import StrongViewOptions, View, logits_with, strong_view


class FixMatchOptions(StrongViewOptions):
    """Options of ``fixmatch``."""

    threshold: float = Field(0.95, ge=0, le=1, description="lowest confidence of a pseudo-label")
    strong_weight: float = Field(1.0, ge=0, description="weight of the strong views")


class FixMatch(Method):
    """One network that learns from its own confident predictions."""

    Options: ClassVar[type[base.Options]] = FixMatchOptions

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.add_network()

    def view(self, images: Tensor, pseudo_label: Tensor) -> View:
        """Draw a strong view of images [U, C, ...] with their pseudo-labels [U, ...]."""
        return strong_view(images, pseudo_label, self.options, self.task, self.config)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``strong``."""
        unlabelled = batch.images[batch.labelled :]
        views = []
        if batch.unlabelled:
            weak = predict_probabilities(self.network, unlabelled, dropout=True)
            label = confident_pseudo_label(weak, self.options.threshold)
            views.append(self.view(unlabelled, label))
        logits, *strong = logits_with(self, self.network, batch, views)
        terms = {"supervised": supervised_loss(logits, batch.labels) / 2}
        for view, x in zip(views, strong, strict=True):
            loss = pseudo_label_dice(x, view.pseudo_label)
            terms["strong"] = self.options.strong_weight * loss / 2
        return terms
