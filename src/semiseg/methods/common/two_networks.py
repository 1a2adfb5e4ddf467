"""The base class of methods with two networks of one kind and different initial weights."""

from typing import ClassVar

from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import supervised_loss
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Method, ParameterGroup
from semiseg.methods.common.consistency import ConsistencyOptions
from semiseg.methods.common.pair import build_pair, pair_names


class TwoNetworksOptions(ConsistencyOptions, base.NetworkOptions):
    """Options of methods with two networks."""


class TwoNetworks(Method):
    """Two networks of the kind ``network``, such as `unet` and `unet-2`. The first is used for
    inference; the second can predict too.
    """

    Options: ClassVar[type[base.Options]] = TwoNetworksOptions

    @classmethod
    def network_attributes(cls, config: RunConfig) -> tuple[str, ...]:
        """See `Method`."""
        name = config.options.get("network", "unet")
        return pair_names((name, name))

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        name = self.options.network
        for attribute, network in build_pair(task, config, (name, name)).items():
            self.add_module(attribute, network)

    def pair_logits(self, images: Tensor, labelled: int) -> dict[str, Tensor]:
        """Return each network's logits [B, K, ...], in at least single precision.

        Args:
            images: [B, C, ...], labelled images first.
            labelled: their number.
        """
        logits = {}
        for name in self.network_names:
            network = getattr(self, name)
            found = network.classify(self.features(network, images, labelled))
            logits[name] = at_least_single(found)
        return logits

    def supervised_terms(self, logits: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return ``supervised_*`` of both networks, each 0.5 (CE + Dice) on the labelled images."""
        return {
            f"supervised_{name}": supervised_loss(x[: batch.labelled], batch.labels)
            for name, x in logits.items()
        }

    def parameter_groups(self) -> list[ParameterGroup]:
        """See `Method`: one group per network, so that gradients are logged for each."""
        return [self.group(name) for name in self.network_names]
