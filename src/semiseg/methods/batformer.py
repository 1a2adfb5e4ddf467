"""`batformer`: Lin, Yu, Cheng, Yan. BATFormer: towards boundary-aware lightweight transformer for efficient
medical image segmentation (IEEE JBHI 2023). Fully supervised; unlabelled images are not used.

L = 0.6 L_s(y) + 0.2 L_b(y_1) + 0.1 L_b(y_2) + 0.1 L_b(y_4), with L_s = CE + Dice of the foreground and
L_b = 0.5 L_s + 0.5 smooth L1(softmax, fractions of the classes in a cell). y is the prediction, y_1 that of
the U-Net's last map, y_2 and y_4 those of the enriched maps at 1/2 and 1/4. The entropy of y_4 chooses the
windows of the local transformer (`semiseg.networks.batformer`). The fractions make it high at boundaries.

The paper trains with Adam, rate 1e-3, batch 4, 400 epochs. Here the section ``training`` decides about them.

Departures from public code (the loss and its weights are read there; the paper's text was not at hand).
There the logits of y_1, y_2 and y_4 pass two softmaxes before the cross entropy. Here they pass one. Dice
has squared denominators, as in the other methods here. The last 50 of 400 epochs, in which public code
trains only the transformers and heads, are not a stage of their own.
"""

from typing import Annotated, ClassVar

from pydantic import BaseModel, Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import IGNORE_INDEX, Task
from semiseg.losses.class_fractions import class_fractions, fraction_loss
from semiseg.losses.dice import dice_loss
from semiseg.losses.ignore import cross_entropy
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Method, Step
from semiseg.networks.batformer import BATFormerDecoder
from semiseg.networks.build import build_network

Weight = Annotated[float, Field(ge=0, le=1e6)]


class BATFormerOptions(base.Options):
    """The options of the method in the section ``batformer``."""

    output_weights: tuple[Weight, Weight, Weight, Weight] = Field(
        (0.6, 0.2, 0.1, 0.1),
        description="weights of the prediction, and of those of the maps at 1, 1/2 and 1/4",
    )
    fraction_weight: float = Field(
        0.5, ge=0, le=1, description="share of the smooth L1 loss at the maps at 1, 1/2 and 1/4"
    )


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return L_s = CE + Dice of the foreground. [B, K, ...] and [B, ...] -> a scalar."""
    logits = at_least_single(logits)
    dice = dice_loss(logits.softmax(1), target, background=False)
    return cross_entropy(logits, target) + dice


class BATFormerMethod(Method):
    """BATFormer with deep supervision."""

    Options: ClassVar[type[base.Options]] = BATFormerOptions
    uses_unlabelled = False
    networks = ("batformer",)

    @classmethod
    def required_networks(cls, options: BaseModel, dimensions: int) -> tuple[str, ...]:
        """See `Method`."""
        return cls.networks

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.batformer = build_network(task, config, "batformer")
        decoder = self.batformer.decoder
        assert isinstance(decoder, BATFormerDecoder)
        self.width, classes = decoder.width, len(task.classes)
        decoder.guide = self.batformer.new_head(classes, scale=4, kernel=1)
        self.head_half = self.batformer.new_head(classes, scale=2, kernel=1)
        self.head_full = nn.Conv2d(self.width, classes, 1)

    def boundary_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return L_b of a map: [B, K, h, w] and [B, H, W] -> a scalar."""
        logits = at_least_single(logits)
        factor = labels.shape[-1] // logits.shape[-1]
        fractions, majority = class_fractions(labels, logits.shape[1], factor)
        share = self.options.fraction_weight
        smooth = fraction_loss(logits.softmax(1), fractions, majority != IGNORE_INDEX)
        return share * smooth + (1 - share) * segmentation_loss(logits, majority)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``deep_supervised``."""
        labels, guide = batch.labels, self.batformer.decoder.guide
        assert isinstance(guide, nn.Module)
        features = self.batformer.features(batch.images[: batch.labelled])
        final, full, half, quarter = self.options.output_weights
        # the first channels of the last map are those of the U-Net's
        deep = full * self.boundary_loss(self.head_full(features[1][:, : self.width]), labels)
        deep = deep + half * self.boundary_loss(self.head_half(features[2]), labels)
        deep = deep + quarter * self.boundary_loss(guide(features[4]), labels)
        logits = self.batformer.classify(features)
        return {
            "supervised": final * segmentation_loss(logits, labels),
            "deep_supervised": deep,
        }
