"""`cross-teaching` (CTS): Luo et al., Semi-supervised medical image segmentation via cross teaching
between CNN and Transformer (MIDL 2022), as MCSC's section 3.1 states it.

For each network: 0.5 (CE + Dice) on the labelled images + w(t) Dice between its probabilities and
the other network's argmax on the unlabelled ones (MCSC, equation 1), w(t) = 0.1 exp(-5 (1 - t/T)^2).

On volumes (``data.dimensions=3``) the default is a 3D U-Net and a V-Net. This is our choice: the
papers train on slices. ``cross-teaching.networks`` takes any two networks.
"""

from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import dice_loss, supervised_loss
from semiseg.methods import base
from semiseg.methods.base import Method, ParameterGroup, Step, as_iterations
from semiseg.methods.common.consistency import ConsistencyOptions, consistency_weight
from semiseg.methods.common.pair import build_pair, pair_names, pair_of


class CrossTeachingOptions(ConsistencyOptions):
    """Options of ``cross-teaching``."""

    networks: tuple[str, str] | None = Field(
        None, description="names of the two networks; default: unet and swin, in 3D unet and vnet"
    )


def cross_loss(logits: Tensor, pseudo_label: Tensor) -> Tensor:
    """Equation 1 of MCSC: Dice of one network's probabilities with the other's argmax.

    Args:
        logits: [U, K, ...] of the network that is trained.
        pseudo_label: [U, ...] int64 of the other network, without gradient.
    """
    return dice_loss(logits.float().softmax(1), pseudo_label)


def pair_terms(
    logits: dict[str, Tensor], batch: Batch, options: CrossTeachingOptions, step: Step
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the terms of cross teaching and each network's argmax on the unlabelled images.

    Args:
        logits: [B, K, ...] of each of the two networks.
    """
    labelled = batch.labelled
    terms = {
        f"supervised_{n}": supervised_loss(x[:labelled], batch.labels) for n, x in logits.items()
    }
    if not batch.unlabelled:
        return terms, dict.fromkeys(logits, batch.labels[:0])
    weight = consistency_weight(options, step)
    pseudo_labels = {n: x[labelled:].detach().argmax(1) for n, x in logits.items()}
    for (name, x), teacher in zip(logits.items(), reversed(logits), strict=True):
        terms[f"cross_{name}"] = weight * cross_loss(x[labelled:], pseudo_labels[teacher])
    return terms, pseudo_labels


class CrossTeaching(Method):
    """Two networks that teach each other. The first is used for inference."""

    Options: ClassVar[type[base.Options]] = CrossTeachingOptions
    networks: ClassVar[tuple[str, ...]] = ("unet", "swin")

    @classmethod
    def required_networks(cls, options: BaseModel, dimensions: int) -> tuple[str, ...]:
        """See `Method`: the two networks."""
        return pair_of(getattr(options, "networks", None), dimensions)

    @classmethod
    def network_attributes(cls, config: RunConfig) -> tuple[str, ...]:
        """See `Method`."""
        return pair_names(pair_of(config.options.get("networks"), config.data.dimensions))

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        pair = pair_of(self.options.networks, config.data.dimensions)
        for name, network in build_pair(task, config, pair, self.scales).items():
            self.add_module(name, network)

    @property
    def scales(self) -> tuple[int, ...]:
        """Reductions of the maps that the loss uses besides the full resolution."""
        return ()

    def pair_features(self, batch: Batch) -> dict[str, dict[int, Tensor]]:
        """Return each network's maps of all images."""
        return {
            name: self.features(getattr(self, name), batch.images, batch.labelled)
            for name in self.network_names
        }

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised_*`` and ``cross_*`` of both networks."""
        maps = self.pair_features(batch)
        logits = {name: getattr(self, name).classify(of) for name, of in maps.items()}
        return pair_terms(logits, batch, self.options, step)[0]

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        return {"cross": as_iterations(self.options.consistency_from, iterations)}

    def parameter_groups(self) -> list[ParameterGroup]:
        """See `Method`: one group per module, so that gradients are logged for each network."""
        groups = [self.group(name) for name, _ in self.named_children()]
        return [group for group in groups if group.parameters]
