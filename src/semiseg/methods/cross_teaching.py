"""`cross-teaching` (CTS): Luo et al., Semi-supervised medical image segmentation via cross teaching
between CNN and Transformer (MIDL 2022), as MCSC's section 3.1 states it.

For each network: 0.5 (CE + Dice) on the labelled images + w(t) Dice between its probabilities and
the other network's argmax on the unlabelled ones (MCSC, equation 1), w(t) = 0.1 exp(-5 (1 - t/T)^2).
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import dice_loss, supervised_loss
from semiseg.methods import base
from semiseg.methods.base import Method, ParameterGroup, Step, start_of
from semiseg.methods.parts.cnn import build_unet
from semiseg.methods.parts.cnn_transformer import build_swin_unet, check_size, groups
from semiseg.methods.parts.ramps import gaussian_rampup


class CrossTeachingOptions(base.Options):
    """Options of ``cross-teaching``."""

    consistency_weight: float = Field(0.1, ge=0, description="largest weight of the cross loss")
    consistency_from: float = Field(
        0.0, ge=0, description="no cross loss before this part of the run, or iteration if >= 1"
    )


def cross_loss(logits: Tensor, pseudo_label: Tensor) -> Tensor:
    """Equation 1 of MCSC: Dice of one network's probabilities with the other's argmax.

    Args:
        logits: [U, K, H, W] of the network that learns.
        pseudo_label: [U, H, W] int64 of the other, without gradient.
    """
    return dice_loss(logits.float().softmax(1), pseudo_label)


def consistency_weight(options: CrossTeachingOptions, step: Step) -> float:
    """w_cps(t) = 0.1 exp(-5 (1 - t/T)^2), 0 before ``consistency_from``."""
    if step.index < start_of(options.consistency_from, step.total):
        return 0.0
    return options.consistency_weight * gaussian_rampup(step.fraction)


class CrossTeaching(Method):
    """Two networks, each the other's teacher. The CNN is used for inference."""

    Options: ClassVar[type[base.Options]] = CrossTeachingOptions
    networks: ClassVar[tuple[str, ...]] = ("cnn", "transformer")

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.options = CrossTeachingOptions.model_validate(config.options)
        self.config = config
        check_size(config)
        self.cnn = build_unet(task, config)
        self.transformer, note = build_swin_unet(task, config)
        self.notes.append(note)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised_*`` and ``cross_*`` of both networks."""
        labelled = batch.labelled
        cnn, transformer = self.cnn(batch.images), self.transformer(batch.images)
        terms = {
            "supervised_cnn": supervised_loss(cnn[:labelled], batch.labels),
            "supervised_transformer": supervised_loss(transformer[:labelled], batch.labels),
        }
        if batch.unlabelled:
            weight = consistency_weight(self.options, step)
            u_cnn, u_transformer = cnn[labelled:], transformer[labelled:]
            y_cnn, y_transformer = u_cnn.detach().argmax(1), u_transformer.detach().argmax(1)
            terms["cross_cnn"] = weight * cross_loss(u_cnn, y_transformer)
            terms["cross_transformer"] = weight * cross_loss(u_transformer, y_cnn)
        return terms

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        return {"cross": start_of(self.options.consistency_from, iterations)}

    def parameter_groups(self) -> list[ParameterGroup]:
        """See `Method`."""
        return groups(self.cnn, self.transformer, self.config)
