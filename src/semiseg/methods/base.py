"""The contract of a method."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.methods.common.batch_norm import features_of
from semiseg.methods.common.points import Points, sample_pixels
from semiseg.networks.build import build_network
from semiseg.networks.segmenter import Segmenter


class Options(BaseModel):
    """A method's own section of the configuration; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NetworkOptions(Options):
    """Options of a method that trains one kind of network."""

    network: str = Field("unet", description="a network of 'semiseg networks'")


@dataclasses.dataclass  # not frozen: mixed precision in Fabric rebuilds it field by field
class Step:
    """Where a training is. ``index`` counts from 0 to ``total - 1``."""

    index: int
    total: int

    @property
    def fraction(self) -> float:
        """t/T."""
        return self.index / self.total


@dataclasses.dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate, and where asked an optimiser of their own.

    Attributes:
        name: of the group in logs.
        parameters: each parameter belongs to one group.
        lr_scale: times ``training.learning_rate``.
        warmup: a linear warm-up, as a part of the run.
        optimiser: default: ``training.optimiser``.
        learning_rate: in place of ``training.learning_rate``.
        settings: other arguments of the optimiser, such as ``{"betas": (0.9, 0.99)}``.
    """

    name: str
    parameters: list[nn.Parameter]
    lr_scale: float = 1.0
    warmup: float = 0.0
    optimiser: Literal["sgd", "adam", "adamw"] | None = None
    learning_rate: float | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Derived:
    """A value that follows from the input and is not set by anybody, with its reason."""

    option: str
    value: Any
    reason: str


class Method(nn.Module):
    """A method builds its networks and returns the loss terms of one batch.

    It knows nothing of files, devices, logging or the training loop. A subclass defines at least
    ``Options``, ``networks``, ``__init__`` and ``forward``.
    """

    Options: ClassVar[type[Options]] = NetworkOptions
    uses_unlabelled: ClassVar[bool] = True
    fills_batch: bool = True
    """Of a method without unlabelled images: whether labelled images take their places in a batch."""
    networks: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that can predict; the first is the one used for inference. Empty: the
    one network that `add_network` builds."""
    needs_distance_maps: ClassVar[bool] = False
    """Whether ``batch.distance_maps`` holds signed distance maps of the labels."""
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Values of other sections that the method needs; data, presets and ``--set`` overrule them."""

    @classmethod
    def size_step(cls, options: Mapping[str, Any]) -> int:
        """Sides of the input that fit are multiples of it; ``options``: the method's that are given."""
        return 32

    @classmethod
    def uses(cls, options: BaseModel, dimensions: int) -> tuple[str, ...]:
        """The entries of the table of networks that the method builds."""
        return (getattr(options, "network", "unet"),)

    @classmethod
    def networks_of(cls, config: RunConfig) -> tuple[str, ...]:
        """``networks`` of a configuration; by default the option ``network`` where none are named."""
        return cls.networks or (config.options.get("network", "unet"),)

    @classmethod
    def derived(cls, config: RunConfig) -> Sequence[Derived]:
        """Values that the method takes from the input's size, for the person."""
        return ()

    def __init__(self, task: Task, config: RunConfig) -> None:
        """Validate the options. A subclass builds its networks for ``task``.

        Raises:
            UserError: where the input's size does not fit.
        """
        super().__init__()
        self.task, self.config = task, config
        self.options: Any = self.Options.model_validate(config.options)
        self.network_names = self.networks_of(config)

    def add_network(self) -> Segmenter:
        """Build the network that the option ``network`` names; it is `network` from then on."""
        name: str = self.options.network
        network = build_network(self.task, self.config, name)
        self.add_module(name, network)
        return network

    @property
    def network(self) -> Segmenter:
        """The network that is used for inference."""
        network: Segmenter = getattr(self, self.network_names[0])
        return network

    @property
    def notes(self) -> list[str]:
        """Sentences for the person, such as which weights the networks start from."""
        found = (note for m in self.modules() if isinstance(m, Segmenter) for note in m.notes)
        return list(dict.fromkeys(found))

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """The weighted loss terms of one step; the loss is their sum."""
        raise NotImplementedError

    def features(self, network: Segmenter, images: Tensor, labelled: int) -> dict[int, Tensor]:
        """A network's maps by reduction, of images of which the first ``labelled`` have labels.

        ``training.batch_norm`` decides whether labelled and unlabelled images share the statistics
        of batch norm. Take this, and not ``network.features``, for the images of a batch.
        """
        return features_of(network, images, labelled, self.config.training.batch_norm)

    def logits(self, images: Tensor, network: str) -> Tensor:
        """[B, C, S, S] -> [B, K, S, S] (or with D, H, W) of one of the networks."""
        out: Tensor = getattr(self, network)(images)
        return out

    def embeddings(self, images: Tensor, labels: Tensor) -> dict[str, Points]:
        """Named spaces with points and their true classes, for figures and for measuring.

        Here: pixels of each network's last decoder map. A method adds the spaces that it contrasts.

        Args:
            images: [B, C, S, S], or [B, C, D, H, W].
            labels: [B, S, S] int64, or [B, D, H, W]; ignored pixels give no point.
        """
        return {
            f"{name}, decoder": sample_pixels(getattr(self, name).features(images)[1], labels)
            for name in self.network_names
        }

    def group(self, name: str) -> ParameterGroup:
        """The trainable parameters of the attribute ``name``; a network's section sets their rate."""
        module: nn.Module = getattr(self, name)
        parameters = [p for p in module.parameters() if p.requires_grad]
        if not isinstance(module, Segmenter):
            return ParameterGroup(name, parameters)
        own = module.config
        return ParameterGroup(name, parameters, own.learning_rate_scale, own.warmup)

    def parameter_groups(self) -> list[ParameterGroup]:
        """All trainable parameters, each once.

        By default they are one group, beside one group for each network whose section sets a rate or
        a warm-up of its own.
        """
        found = [self.group(name) for name, _ in self.named_children()]
        own = [g for g in found if g.parameters and (g.lr_scale, g.warmup) != (1.0, 0.0)]
        grouped = {id(p) for g in own for p in g.parameters}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in grouped]
        return [*([ParameterGroup("networks", rest)] if rest else []), *own]

    def active_from(self, iterations: int) -> dict[str, int]:
        """For terms that start late: the iteration at which each begins, in a run of this length."""
        return {}

    def after_step(self, step: Step) -> None:
        """Called after the optimiser's step (for the average of a teacher)."""


def start_of(value: float, iterations: int) -> int:
    """A point of a run given as a part of it (below 1) or as a number of iterations."""
    return round(value * iterations) if value < 1 else int(value)
