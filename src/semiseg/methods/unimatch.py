"""`unimatch` (UniMatch): Yang et al., Revisiting weak-to-strong consistency in semi-supervised semantic
segmentation (CVPR 2023), in its medical variant.

L = (L_s + L_u) / 2 and L_u = lambda H(p_w, p_fp) + mu/2 (H(p_w, p_s1) + H(p_w, p_s2)) with lambda = mu = 0.5
(equations 1 and 8). L_s = 0.5 (CE + Dice) on labelled images. The network predicts the weak view of an
unlabelled image, p_w. H is Dice with argmax p_w over the pixels with max p_w >= 0.95. p_s1 and p_s2 are
predictions of two strong views (colour jitter, blur, CutMix); p_fp that of the weak view of which each
channel of all encoder maps is dropped with probability 0.5. There is no teacher.

Departures from the public code: those of `semiseg.methods.fixmatch`. There the decoder normalises clean and
perturbed maps of all images together; here it normalises the perturbed maps of unlabelled images by their
own statistics. Only the pass of labelled images and strong views can change batch norm's running averages.
The numbers of the equations are from memory.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.losses.dice import supervised_loss
from semiseg.losses.pseudo_label import pseudo_label_dice
from semiseg.methods import base
from semiseg.methods.base import Step
from semiseg.methods.common.batch_norm import batch_statistics
from semiseg.methods.common.frozen_pass import no_gradient
from semiseg.methods.common.perturb import drop_channels
from semiseg.methods.common.pseudo_label import confident_pseudo_label, soft_pseudo_label
from semiseg.methods.common.strong_view import logits_with
from semiseg.methods.fixmatch import FixMatch, FixMatchOptions


class UniMatchOptions(FixMatchOptions):
    """Options of ``unimatch``."""

    strong_weight: float = Field(0.5, ge=0, description="weight of both strong views together, mu")
    feature_weight: float = Field(0.5, ge=0, description="weight of the feature stream, lambda")
    dropped_channels: float = Field(
        0.5, ge=0, lt=1, description="probability that a channel of an encoder map is dropped"
    )


class UniMatch(FixMatch):
    """FixMatch with two strong views and a stream of perturbed features."""

    Options: ClassVar[type[base.Options]] = UniMatchOptions

    def weak_and_feature(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities of the weak view, detached, and the logits of the feature stream.

        Both are [U, K, ...] and share one pass of the encoder.
        """
        network = self.network
        with batch_statistics(network):
            maps = network.encode(images)
            with no_gradient():
                weak = soft_pseudo_label(network.classify(network.decode(maps)))
            dropped = drop_channels(maps, self.options.dropped_channels)
            return weak, network.classify(network.decode(dropped))

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised``, ``strong`` and ``feature``."""
        if not batch.unlabelled:
            return super().forward(batch, step)
        o: UniMatchOptions = self.options
        unlabelled = batch.images[batch.labelled :]
        weak, feature = self.weak_and_feature(unlabelled)
        label = confident_pseudo_label(weak, o.threshold)
        views = [self.view(unlabelled, label) for _ in range(2)]
        logits, *strong = logits_with(self, self.network, batch, views)
        losses = [pseudo_label_dice(x, v.pseudo_label) for x, v in zip(strong, views, strict=True)]
        return {
            "supervised": supervised_loss(logits, batch.labels) / 2,
            "strong": o.strong_weight / 2 * torch.stack(losses).sum() / 2,
            "feature": o.feature_weight * pseudo_label_dice(feature, label) / 2,
        }
