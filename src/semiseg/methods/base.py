"""The contract of a method."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.methods.parts.points import Points, sample_pixels


class Options(BaseModel):
    """A method's own section of the configuration; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    """Parameters with their own learning rate: a factor, and a linear warm-up as part of the run."""

    name: str
    parameters: list[nn.Parameter]
    scale: float = 1.0
    warmup: float = 0.0


class Method(nn.Module):
    """One file a method: it builds its networks and returns its loss terms for one batch.

    It knows nothing of files, devices, logging or the training loop.
    """

    Options: ClassVar[type[Options]] = Options
    uses_unlabelled: ClassVar[bool] = True
    fills_batch: bool = True
    """Of a method without unlabelled images: whether labelled ones take their places in a batch."""
    networks: ClassVar[tuple[str, ...]]
    """Names of the attributes that can predict; the first is the one used for inference."""
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """What the method needs of other sections; data, presets and ``--set`` may say otherwise."""

    @classmethod
    def size_step(cls, options: Mapping[str, Any]) -> int:
        """Sides of the input that fit are multiples of it; ``options``: the method's that are given."""
        return 32

    @classmethod
    def networks_of(cls, config: RunConfig) -> tuple[str, ...]:
        """``networks``, where they depend on the configuration (slices or volumes)."""
        return cls.networks

    def __init__(self, task: Task, config: RunConfig) -> None:
        """Build the networks for ``task``; raises `UserError` where the size does not fit."""
        super().__init__()
        self.task = task
        self.network_names = self.networks_of(config)
        self.notes: list[str] = []
        """Sentences for the person: what was loaded, what was chosen."""

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """The weighted loss terms of one step; the loss is their sum."""
        raise NotImplementedError

    def logits(self, images: Tensor, network: str) -> Tensor:
        """[B, C, S, S] -> [B, K, S, S] (or with D, H, W) of one of the networks."""
        out: Tensor = getattr(self, network)(images)
        return out

    def embeddings(self, images: Tensor, labels: Tensor) -> dict[str, Points]:
        """Named spaces with points and their true classes, for figures and for measuring.

        Here: pixels of each network's last decoder map. A method adds the spaces that it contrasts.

        Args:
            images: [B, C, S, S], or [B, C, D, H, W].
            labels: [B, S, S] int64, or [B, D, H, W]; pixels that are ignored give no point.
        """
        return {
            f"{name}, decoder": sample_pixels(getattr(self, name).features(images)[1], labels)
            for name in self.network_names
        }

    def parameter_groups(self) -> list[ParameterGroup]:
        """All trainable parameters, each once."""
        raise NotImplementedError

    def active_from(self, iterations: int) -> dict[str, int]:
        """For terms that start late: the iteration at which each begins, in a run of this length."""
        return {}

    def after_step(self, step: Step) -> None:
        """Called after the optimiser's step (for the average of a teacher)."""


def start_of(value: float, iterations: int) -> int:
    """A point of a run given as a part of it (below 1) or as a number of iterations."""
    return round(value * iterations) if value < 1 else int(value)
