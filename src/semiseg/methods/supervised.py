"""`supervised`: a U-Net on the labelled images alone ("UNet-LS"; "UNet-FS" with all labels).

L = 0.5 (CE + Dice), every image of a batch is labelled.
"""

from typing import ClassVar

from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import supervised_loss
from semiseg.methods.base import Method, ParameterGroup, Step
from semiseg.methods.parts.cnn_transformer import build_unet


class Supervised(Method):
    """The baseline of every table."""

    uses_unlabelled = False
    networks: ClassVar[tuple[str, ...]] = ("cnn",)

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.cnn = build_unet(task, config)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """One term: ``supervised``."""
        return {
            "supervised": supervised_loss(self.cnn(batch.images[: batch.labelled]), batch.labels)
        }

    def parameter_groups(self) -> list[ParameterGroup]:
        """See `Method`."""
        return [ParameterGroup("cnn", list(self.cnn.parameters()))]
