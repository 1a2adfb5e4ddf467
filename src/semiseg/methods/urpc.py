"""`urpc` (URPC): Luo et al., Efficient semi-supervised gross target volume of nasopharyngeal carcinoma
segmentation via uncertainty rectified pyramid consistency (MICCAI 2021).

One network with a head on each of S = 4 maps of the decoder; all outputs are enlarged to the size of the
image. L = L_s + w(t) L_u with w(t) = 0.1 exp(-5 (1 - t/T)^2). L_s is the mean over scales of
0.5 (CE + Dice) (equation 1 of the paper). L_u, on unlabelled images, is the mean over scales of
sum_i e^-v_i (p - p_s)_i^2 / sum_i e^-v_i + mean_i v_i, where p is the mean over scales (equation 2) and v_s
a divergence of p and p_s (equations 4 to 6). In training, dropout and noise perturb the map before each
head. Inference uses the output at full resolution.

Departures from the paper. Statements about the paper are from memory; those about the benchmark are from
SSL4MIS, by the paper's first author. We remember the paper's divergence as KL(p_s || p); that of the
benchmark is KL(p || p_s) (``urpc.divergence=mean-to-scale``). The paper prints norms instead of squared
differences, and one quotient for all scales; here each scale has its quotient and squares are averaged over
classes, as in the benchmark. The paper describes dropout and feature noise before each head: channels are
dropped with the rates of the benchmark's 3D network, which also drops them for the next finer stage. Its 2D
network has one kind of perturbation per coarse head. Outputs are enlarged linearly; the benchmark's 2D
network repeats pixels. A network with fewer maps has fewer scales (Swin-Unet: three).
"""

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import supervised_loss
from semiseg.losses.precision import at_least_single
from semiseg.losses.pyramid import Divergence, pyramid_consistency
from semiseg.methods import base
from semiseg.methods.base import Method, Step
from semiseg.methods.common.perturb import drop_channels, noise_features
from semiseg.methods.common.ramp_up import sigmoid_rampup
from semiseg.networks.unet import LINEAR


class URPCOptions(base.NetworkOptions):
    """Options of ``urpc``."""

    consistency_weight: float = Field(0.1, ge=0, description="final weight of the consistency")
    dropout: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        (0.1, 0.2, 0.3, 0.5),
        min_length=2,
        max_length=16,
        description="probability of dropping a channel before each head, from fine to coarse; as many "
        "scales as values, at most those of the decoder",
    )
    noise: float = Field(
        0.3, ge=0, le=1, description="bound of the multiplicative noise before each head"
    )
    divergence: Divergence = Field(
        "scale-to-mean", description="uncertainty: KL(mean || scale) or KL(scale || mean)"
    )


class URPC(Method):
    """One network with an output at each scale of its decoder."""

    Options: ClassVar[type[base.Options]] = URPCOptions

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        network = self.add_network()
        reductions = sorted(network.out_channels)[: len(self.options.dropout)]
        self.scales = tuple(reductions)  # 1, 2, 4, ...
        self.heads = nn.ModuleDict(
            {str(scale): network.new_head(len(task.classes), scale) for scale in reductions[1:]}
        )

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``consistency``."""
        labelled = batch.labelled
        features = self.features(self.network, batch.images, labelled)
        logits = self.pyramid(features)
        losses = [supervised_loss(x[:labelled], batch.labels) for x in logits]
        terms = {"supervised": torch.stack(losses).mean()}
        if batch.unlabelled:
            probabilities = [x[labelled:].softmax(1) for x in logits]
            consistency = pyramid_consistency(probabilities, self.options.divergence)
            weight = self.options.consistency_weight * sigmoid_rampup(step.fraction)
            terms["consistency"] = weight * consistency
        return terms

    def pyramid(self, features: dict[int, Tensor]) -> list[Tensor]:
        """Return logits [B, K, ...] of each scale at full resolution, from fine to coarse.

        Args:
            features: the decoder's maps by reduction.
        """
        o: URPCOptions = self.options
        logits = []
        for scale, rate in zip(self.scales, o.dropout, strict=False):
            seen = features[scale]
            if self.training:
                seen = noise_features(drop_channels(seen, rate), o.noise)
            if scale == 1:
                logits.append(at_least_single(self.network.classify({1: seen})))
                continue
            small = at_least_single(self.heads[str(scale)](seen))
            sides = features[1].shape[2:]
            logits.append(F.interpolate(small, sides, mode=LINEAR[len(sides)], align_corners=False))
        return logits
