"""`nnformer`: Zhou, Guo, Zhang, Han, Yu, Wang, Yu. nnFormer: volumetric medical image segmentation via a 3D
transformer (IEEE TIP 2023). Fully supervised; unlabelled volumes are not used.

L = 4/7 L_1 + 2/7 L_2 + 1/7 L_4, where L_s = CE + Dice of the foreground at 1/s of the resolution.
Each stage of the decoder has an expansion like the network's last layer; that of the map at 1/8 predicts at
1/2, that of the map at 1/16 at 1/4. Labels are reduced to the prediction's resolution. With fewer stages
there are fewer terms, and with more the weights are halved further.

The paper trains with SGD, rate 0.01, momentum 0.99 (Nesterov), polynomial decay, batch 2. Public code clips
the norm of the gradients at 12 (``training.clip_gradients=12``).

Departures. The weights and the loss are those of the paper from memory (each weight is half of the one
before, their sum is 1). The public trainer for ACDC has no deep supervision (``nnformer.deep_supervision=0``)
and starts from pretrained weights, which do not exist here. The section ``training`` decides about the
optimiser; it has no Nesterov momentum. The expansions have a layer norm in front of them (see
`semiseg.networks.nnformer`). Dice has squared denominators and is summed over the batch, as in the other
methods here. A label is reduced by taking the voxel at the centre of each cell (of an even side: the first
one behind the centre).
"""

import math
from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import dice_loss
from semiseg.losses.ignore import cross_entropy
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Method, Step
from semiseg.networks.build import build_network
from semiseg.networks.nnformer import NNFormer, expansion


class NNFormerOptions(base.Options):
    """The options of the method in the section ``nnformer``."""

    deep_supervision: float = Field(
        0.5, ge=0, le=1, description="weight of an output relative to the next finer one"
    )


def output_weights(count: int, ratio: float) -> list[float]:
    """Return ``count`` weights with the sum 1; each is ``ratio`` times the one before."""
    total = sum(ratio**i for i in range(count))
    return [ratio**i / total for i in range(count)]


def loss_at(logits: Tensor, labels: Tensor, factors: Sequence[int]) -> Tensor:
    """Return CE + Dice of the foreground of a prediction at a lower resolution.

    Args:
        logits: [B, K, d, h, w]; the part beyond the reduced labels is left out.
        labels: [B, D, H, W] int64 class codes or ``IGNORE_INDEX``; a cell is represented by the voxel at
            its centre, and cells whose centre is outside are left out.
        factors: by which the axes are reduced.
    """
    sides = zip(labels.shape[1:], factors, strict=True)
    # a prediction covers its whole cell, so the first voxel would be off centre
    target = labels[:, *(slice(min(f // 2, side - 1), None, f) for side, f in sides)]
    d, h, w = target.shape[1:]
    logits = at_least_single(logits[:, :, :d, :h, :w])
    dice = dice_loss(logits.softmax(1), target, background=False)
    return cross_entropy(logits, target) + dice


class NNFormerMethod(Method):
    """nnFormer with deep supervision."""

    Options: ClassVar[type[base.Options]] = NNFormerOptions
    uses_unlabelled = False
    networks = ("nnformer",)

    @classmethod
    def required_networks(cls, options: BaseModel, dimensions: int) -> tuple[str, ...]:
        """See `Method`."""
        return cls.networks

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.nnformer = build_network(task, config, "nnformer")
        backbone = self.nnformer.backbone
        assert isinstance(backbone, NNFormer)
        # from 1/8 to the coarsest map of the decoder
        self.scales = sorted(self.nnformer.out_channels)[2:]
        self.factors = [
            tuple(math.prod(stride[axis] for stride in backbone.strides[:i]) for axis in range(3))
            for i in range(1, len(self.scales) + 1)
        ]
        self.heads = nn.ModuleList(
            expansion(self.nnformer.out_channels[scale], len(task.classes), backbone.stem)
            for scale in self.scales
        )

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and, with more than two stages, ``deep_supervised``."""
        features = self.nnformer.features(batch.images[: batch.labelled])
        logits = self.nnformer.classify(features)
        first, *weights = output_weights(1 + len(self.scales), self.options.deep_supervision)
        terms = {"supervised": first * loss_at(logits, batch.labels, (1, 1, 1))}
        losses = [
            weight * loss_at(head(features[scale]), batch.labels, factors)
            for weight, head, scale, factors in zip(
                weights, self.heads, self.scales, self.factors, strict=True
            )
        ]
        if losses:
            terms["deep_supervised"] = sum(losses[1:], losses[0])
        return terms
