"""`supervised`: a U-Net on the labelled images alone ("UNet-LS"; "UNet-FS" with all labels).

L = 0.5 (CE + Dice). Every image of a batch is labelled; an option leaves as many as other methods
have. Compared with a method that trains by cross entropy alone (PLGCL), or that has no background
channel (cross-level), so does the baseline.
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


class SupervisedOptions(base.NetworkOptions):
    """Options of ``supervised``."""

    dice: bool = Field(True, description="false: cross entropy alone")
    background: bool = Field(
        True, description="false: of two classes the Dice loss scores the foreground alone"
    )
    batch: Literal["whole", "labelled"] = Field(
        "whole", description="images a step: batch_size, or labelled_batch_size of them"
    )


class Supervised(Method):
    """The baseline of every table."""

    Options: ClassVar[type[base.Options]] = SupervisedOptions
    uses_unlabelled = False

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.fills_batch = self.options.batch == "whole"
        self.add_network()

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """One term: ``supervised``."""
        logits = self.network(batch.images[: batch.labelled])
        if self.options.dice:
            background = self.options.background or logits.shape[1] > 2
            loss = supervised_loss(logits, batch.labels, background)
        else:
            loss = cross_entropy(logits.float(), batch.labels)
        return {"supervised": loss}
