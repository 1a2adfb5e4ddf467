"""`supervised`: a U-Net on the labelled images only ("UNet-LS"; "UNet-FS" with all labels).

L = 0.5 (CE + Dice). Options match the baseline to other methods: as many labelled images per step,
cross entropy only (PLGCL), or a Dice loss without the background (cross-level). With ``deep_supervision``
coarser maps of the decoder learn from labels too.
"""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import supervised_loss
from semiseg.losses.ignore import cross_entropy
from semiseg.methods import base
from semiseg.methods.base import Method, Step
from semiseg.methods.common.deep_supervision import (
    DeepSupervision,
    DeepSupervisionOptions,
    deep_loss,
)


class SupervisedOptions(DeepSupervisionOptions):
    """Options of ``supervised``."""

    dice: bool = Field(True, description="whether the loss includes Dice besides cross entropy")
    background: bool = Field(
        True, description="whether the Dice loss of two classes includes the background"
    )
    batch: Literal["whole", "labelled"] = Field(
        "whole", description="labelled images per step: batch_size or labelled_batch_size"
    )


class Supervised(Method):
    """The supervised baseline."""

    Options: ClassVar[type[base.Options]] = SupervisedOptions
    uses_unlabelled = False

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.fills_batch = self.options.batch == "whole"
        count, option = self.options.deep_supervision, "supervised.deep_supervision"
        self.deep = DeepSupervision(self.add_network(), len(task.classes), count, option)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """One term: ``supervised``."""
        features = self.network.features(batch.images[: batch.labelled])
        outputs = [self.network.classify(features), *self.deep(features)]
        return {"supervised": deep_loss(outputs, batch.labels, self.loss)}

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """0.5 (CE + Dice), or what the options say: [B, K, ...] and [B, ...] -> a scalar."""
        if not self.options.dice:
            return cross_entropy(logits.float(), labels)
        background = self.options.background or logits.shape[1] > 2
        return supervised_loss(logits, labels, background)
