"""`dct` (DCT): Peng, Estrada, Pedersoli, Desrosiers. Deep co-training for semi-supervised image segmentation
(Pattern Recognition 2020), after Qiao et al., Deep co-training for semi-supervised image recognition
(ECCV 2018).

Two networks of one kind with different initial weights. L = L_sup + lambda_cot L_cot + lambda_div L_div.

L_sup is the sum of both networks' supervised losses. L_cot, on unlabelled images, is the Jensen-Shannon
divergence H((p_1 + p_2) / 2) - (H(p_1) + H(p_2)) / 2. L_div, on all images, keeps the networks different:
KL(p_1(x) || p_2(g_1(x))) + KL(p_2(x) || p_1(g_2(x))). The adversarial example g_i(x) is
x + epsilon sign(gradient of the cross entropy of network i), so network 2 learns to classify what deceives
network 1 as network 1 classifies the clean image, and the reverse. p_i(x) is detached in L_div.

A step has two forward passes and two backward passes per network, and one more backward pass per network to
the image: the gradient for g_i comes from the pass of the clean images.

Departures from the paper. The supervised loss is 0.5 (CE + Dice) instead of CE. Both weights rise as
exp(-5 (1 - t/T)^2), lambda_cot to 0.1, the benchmarks' weight of a consistency, and lambda_div to a twentieth
of it, the ratio of the defaults of the public code's trainer (10 and 0.5, as in Qiao et al.; its
configurations differ). The paper's public code draws labelled or unlabelled images with equal probability for
L_div; here all images of the batch are used. It makes the examples of unlabelled images by virtual
adversarial training; here they are steps against the network's own argmax (Qiao et al.), which need no
further pass. KL and cross entropy have equal gradients because the target is detached; the detachment and
epsilon = 0.05 are those of the public code (Qiao et al.: 0.02). The paper also trains more than two networks,
and on different labelled subsets.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.consistency import js_divergence, kl_divergence
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Step, as_iterations
from semiseg.methods.common.batch_norm import batch_statistics
from semiseg.methods.common.consistency import consistency_rampup
from semiseg.methods.common.pseudo_label import hard_pseudo_label, soft_pseudo_label
from semiseg.methods.common.two_networks import TwoNetworks, TwoNetworksOptions


class DCTOptions(TwoNetworksOptions):
    """Options of ``dct``."""

    consistency_weight: float = Field(0.1, ge=0, description="final weight of the agreement")
    diversity_weight: float = Field(0.005, ge=0, description="final weight of the diversity")
    epsilon: float = Field(
        0.05, ge=0, description="size of the adversarial step, in the unit of prepared images"
    )


def gradient_sign_example(images: Tensor, logits: Tensor, target: Tensor, epsilon: float) -> Tensor:
    """Return ``x + epsilon sign(d CE / d x)`` (Goodfellow et al., ICLR 2015), detached.

    Args:
        images: x [B, C, ...], a leaf that requires a gradient.
        logits: [B, K, ...] of a network for ``images``; its graph is kept.
        target: [B, ...] int64 classes.
        epsilon: size of the step.
    """
    # the sum, because the gradient of the mean could underflow in half precision
    loss = F.cross_entropy(logits, target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images, retain_graph=True)
    return images.detach() + epsilon * gradient.sign()


class DCT(TwoNetworks):
    """Two networks that agree and stay different. The first is used for inference."""

    Options: ClassVar[type[base.Options]] = DCTOptions

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised_*`` of both networks, ``agreement`` and ``diversity``."""
        o, labelled = self.options, batch.labelled
        ramp = consistency_rampup(o, step)
        diverse = o.diversity_weight * ramp > 0
        images = batch.images.detach().requires_grad_(diverse)
        logits = self.pair_logits(images, labelled)
        terms = self.supervised_terms(logits, batch)
        if batch.unlabelled:
            p, q = (x[labelled:].softmax(1) for x in logits.values())
            terms["agreement"] = o.consistency_weight * ramp * js_divergence(p, q)
        if diverse:
            loss = self.diversity(images, logits, batch.labels)
            terms["diversity"] = o.diversity_weight * ramp * loss
        return terms

    def diversity(self, images: Tensor, logits: dict[str, Tensor], labels: Tensor) -> Tensor:
        """Return L_div.

        Args:
            images: [B, C, ...], a leaf that requires a gradient.
            logits: [B, K, ...] of each network for ``images``.
            labels: [L, ...] of the first L images; ignored pixels have the network's argmax.
        """
        total = images.new_zeros(())
        for (_, x), other in zip(logits.items(), reversed(logits), strict=True):
            own = hard_pseudo_label(x)
            known = labels.where(labels != IGNORE_INDEX, own[: len(labels)])
            target = torch.cat([known, own[len(labels) :]])
            example = gradient_sign_example(images, x, target, self.options.epsilon)
            network = getattr(self, other)
            with batch_statistics(network):
                features = self.features(network, example, len(labels))
                answer = at_least_single(network.classify(features)).softmax(1)
            total = total + kl_divergence(soft_pseudo_label(x), answer)
        return total

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        o = self.options
        start = as_iterations(o.consistency_from, iterations)
        weights = {"agreement": o.consistency_weight, "diversity": o.diversity_weight}
        return {term: start for term, weight in weights.items() if weight}
