"""The base class of all methods."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.methods.common.batch_norm import features_of
from semiseg.methods.common.points import Points, sample_pixels
from semiseg.networks.build import build_network
from semiseg.networks.segmenter import Segmenter
from semiseg.strict import Strict


class Options(Strict):
    """A method's section of the configuration. An unknown name is an error."""


class NetworkOptions(Options):
    """Options of a method that trains one kind of network."""

    network: str = Field("unet", description="network, one of 'semiseg networks'")


@dataclasses.dataclass  # not frozen: mixed precision in Fabric rebuilds it field by field
class Step:
    """The current training step and its position in the schedule.

    Attributes:
        index: position, from 0 to ``total - 1``. In a training with a time limit, positions follow the
            time used: they may repeat or skip.
        total: number of positions; without a time limit, the number of steps.
        previous: index of the step before; default: ``index - 1``.
    """

    index: int
    total: int
    previous: int | None = None

    @property
    def fraction(self) -> float:
        """t/T."""
        return self.index / self.total

    def reached(self, index: int) -> bool:
        """Return whether this is the first step at or after ``index``."""
        previous = self.index - 1 if self.previous is None else self.previous
        return previous < index <= self.index


@dataclasses.dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate and, optionally, their own optimiser.

    Attributes:
        name: name of the group in logs.
        parameters: parameters of the group; no parameter belongs to two groups.
        lr_scale: factor of the learning rate.
        warmup: linear warm-up, as a fraction of the run.
        optimiser: default: ``training.optimiser``.
        learning_rate: default: ``training.learning_rate``.
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
class DerivedSetting:
    """A value that is derived from the input instead of set by an option, and the reason."""

    option: str
    value: Any
    reason: str


class Method(nn.Module):
    """A method builds its networks and returns the loss terms of one batch.

    It does not depend on files, devices, logging or the training loop. A subclass defines at least
    ``Options``, ``networks``, ``__init__`` and ``forward``.
    """

    Options: ClassVar[type[Options]] = NetworkOptions
    uses_unlabelled: ClassVar[bool] = True
    labels_suffice: ClassVar[bool] = False
    """Whether a method that uses unlabelled images also trains on data without them."""
    fills_batch: bool | None = True
    """Whether labelled images fill the whole batch if no unlabelled ones are used. None: only on data
    without unlabelled images."""
    networks: ClassVar[tuple[str, ...]] = ()
    """Attributes that hold networks; the first is used for inference. Empty: the network that
    `add_network` builds."""
    needs_distance_maps: ClassVar[bool] = False
    """Whether ``batch.distance_maps`` holds signed distance maps of the labels."""
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Defaults for other sections. The data, a preset and ``--set`` take precedence."""

    @classmethod
    def size_multiple(cls, options: Mapping[str, Any]) -> int:
        """Return the number that the input's sides must be multiples of.

        ``options`` holds the method's options that are set explicitly.
        """
        return 32

    @classmethod
    def required_networks(cls, options: BaseModel, dimensions: int) -> tuple[str, ...]:
        """Return the names of the networks that the method builds."""
        return (getattr(options, "network", "unet"),)

    @classmethod
    def network_attributes(cls, config: RunConfig) -> tuple[str, ...]:
        """Return ``networks`` or, if it is empty, the option ``network``."""
        return cls.networks or (config.options.get("network", "unet"),)

    @classmethod
    def reads_unlabelled(cls, config: RunConfig) -> bool:
        """Return whether the batches of a training contain unlabelled images, if there are any.

        By default ``uses_unlabelled``. A method overrides this if it depends on its options.
        """
        return cls.uses_unlabelled

    @classmethod
    def derived_settings(cls, config: RunConfig) -> Sequence[DerivedSetting]:
        """Return the values that the method derives from the input's size, to show them to the user."""
        return ()

    def __init__(self, task: Task, config: RunConfig) -> None:
        """Validate the options. A subclass builds its networks for ``task``.

        Raises:
            UserError: if the input's size does not fit.
        """
        super().__init__()
        self.task, self.config = task, config
        self.options: Any = self.Options.model_validate(config.options)
        self.network_names = self.network_attributes(config)

    def add_network(self) -> Segmenter:
        """Build the network that the option ``network`` names and register it as `network`."""
        name: str = self.options.network
        network = build_network(self.task, self.config, name)
        self.add_module(name, network)
        return network

    @property
    def network(self) -> Segmenter:
        """The network used for inference."""
        network: Segmenter = getattr(self, self.network_names[0])
        return network

    @property
    def notes(self) -> list[str]:
        """Sentences for the user, such as which weights the networks start from."""
        found = (note for m in self.modules() if isinstance(m, Segmenter) for note in m.notes)
        return list(dict.fromkeys(found))

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return the weighted loss terms of one step. The loss is their sum."""
        raise NotImplementedError

    def features(self, network: Segmenter, images: Tensor, labelled: int) -> dict[int, Tensor]:
        """Return a network's maps by reduction. The first ``labelled`` images have labels.

        Use this for the images of a batch instead of ``network.features``: it respects
        ``training.batch_norm``, which decides whether labelled and unlabelled images share batch
        norm statistics.
        """
        return features_of(network, images, labelled, self.config.training.batch_norm)

    def logits(self, images: Tensor, network: str) -> Tensor:
        """Return the logits of one network: [B, C, S, S] -> [B, K, S, S], or with D, H, W."""
        out: Tensor = getattr(self, network)(images)
        return out

    def embeddings(self, images: Tensor, labels: Tensor) -> dict[str, Points]:
        """Return points of feature spaces with their true classes, for figures and measurements.

        By default these are pixels of each network's last decoder map. A contrastive method adds its
        embedding spaces.

        Args:
            images: [B, C, S, S], or [B, C, D, H, W].
            labels: [B, S, S] int64, or [B, D, H, W]; ignored pixels are left out.
        """
        return {
            f"{name}, decoder": sample_pixels(getattr(self, name).features(images)[1], labels)
            for name in self.network_names
        }

    def group(self, name: str) -> ParameterGroup:
        """Return the trainable parameters of the attribute ``name``.

        The learning rate and warm-up of a network are those of its section.
        """
        module: nn.Module = getattr(self, name)
        parameters = [p for p in module.parameters() if p.requires_grad]
        if not isinstance(module, Segmenter):
            return ParameterGroup(name, parameters)
        own = module.config
        return ParameterGroup(name, parameters, own.learning_rate_scale, own.warmup)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return all trainable parameters, each once.

        By default they form one group. A network whose section sets a learning rate scale or a
        warm-up has its own group.
        """
        found = [self.group(name) for name, _ in self.named_children()]
        own = [g for g in found if g.parameters and (g.lr_scale, g.warmup) != (1.0, 0.0)]
        grouped = {id(p) for g in own for p in g.parameters}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in grouped]
        return [*([ParameterGroup("networks", rest)] if rest else []), *own]

    def active_from(self, iterations: int) -> dict[str, int]:
        """Return the first iteration of each term that starts late, in a run of ``iterations``."""
        return {}

    def after_step(self, step: Step) -> None:
        """Called after the optimiser's step, for example to update a teacher."""

    def remarks(self) -> list[str]:
        """Return sentences for the user on what happened in the training, once it has ended."""
        return []


def optimised_groups(method: Method) -> list[ParameterGroup]:
    """Return the method's parameter groups, those of encoders with their own rate apart.

    The section of a network sets the rate of its encoder (``encoder_learning_rate_scale``).
    """
    scales = {
        id(p): m.config.encoder_learning_rate_scale
        for m in method.modules()
        if isinstance(m, Segmenter) and m.config.encoder_learning_rate_scale != 1.0
        for p in m.encoder.parameters()
    }
    groups = method.parameter_groups()
    if not scales:
        return groups
    out = []
    for group in groups:
        parts: dict[float, list[nn.Parameter]] = {}
        for p in group.parameters:
            parts.setdefault(scales.get(id(p), 1.0), []).append(p)
        out += [
            dataclasses.replace(
                group,
                name=group.name if scale == 1.0 else f"{group.name}_encoder",
                parameters=parameters,
                lr_scale=group.lr_scale * scale,
            )
            for scale, parameters in parts.items()
        ]
    return out


def as_iterations(value: float, iterations: int) -> int:
    """Convert a fraction of the run (below 1) or a number of iterations to iterations."""
    return round(value * iterations) if value < 1 else int(value)
