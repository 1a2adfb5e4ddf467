"""A method under test: its configuration, its batches, its trainings."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.distance_maps import stacked_maps
from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Method, Step, optimised_groups
from semiseg.testing.data import small_settings, write_slices, write_volumes
from semiseg.training.configuration import resolve_config
from semiseg.training.loop import Hooks, fit, seed_step
from semiseg.training.optimiser import build_optimisers, set_rates
from semiseg.training.patients import cases_of
from semiseg.training.run_folder import RunFolder, RunSplit

State = dict[str, Tensor]
LABELLED, UNLABELLED = 2, 2
CLASSES = 3
FIRST_LABELLED = ("p1", "p2")


class InterruptionError(Exception):
    """What a test stops a training with."""


class MethodCase:
    """What the checks of a method are made of."""

    name: ClassVar[str]
    """The name in the table of methods."""
    dimensions: ClassVar[int] = 2
    """2: slices. 3: patches of volumes."""
    settings: ClassVar[tuple[str, ...]] = ()
    """Settings beside those of `semiseg.testing.data.small_settings`, as after ``--set``."""
    size: ClassVar[int] = 0
    """The side of an image. By default 32, and for volumes 16; their depth is half of it."""

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
        """A small prepared data set; nobody writes into it."""
        return cls.write(tmp_path_factory.mktemp("data") / "set")

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _one_thread(cls) -> Iterator[None]:
        """More threads make such small tensors slower."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    @classmethod
    def write(cls, folder: Path) -> PreparedData:
        """Write the small data set into ``folder``."""
        return (write_slices if cls.dimensions == 2 else write_volumes)(folder)

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W), or (D, H, W)."""
        side = self.size or (32 if self.dimensions == 2 else 16)
        return (side, side) if self.dimensions == 2 else (side // 2, side, side)

    def config(self, data: PreparedData, *more: str) -> RunConfig:
        """The method's configuration for small runs; ``more``: further settings."""
        option = "size" if self.dimensions == 2 else "patch"
        value = self.shape[0] if self.dimensions == 2 else list(self.shape)
        small = (*small_settings(self.name, self.dimensions), f"data.{option}={value}")
        given = [*small, *self.settings, *more]
        return resolve_config(data.manifest, self.name, None, given, {}).config

    def build(self, data: PreparedData, config: RunConfig, seed: int = 0) -> Method:
        """The method with weights drawn from ``seed``."""
        torch.manual_seed(seed)
        return methods.entry(self.name).load()(data.task, config)

    def batch(self, seed: int = 0, labelled: int = LABELLED, unlabelled: int = UNLABELLED) -> Batch:
        """Blocks of grey, labelled by their grey value."""
        rng = np.random.default_rng(seed)
        count, side = labelled + unlabelled, self.shape[-1] // 4
        grid = tuple(length // side for length in self.shape)
        codes = np.kron(rng.integers(0, CLASSES, (count, *grid)), np.ones((side,) * len(grid)))
        images = codes[:, None] / 2 + rng.normal(0, 0.05, (count, 1, *self.shape))
        labels = torch.from_numpy(codes[:labelled]).long()
        return self.as_batch(torch.from_numpy(images).float(), labels)

    def as_batch(self, images: Tensor, labels: Tensor) -> Batch:
        """The batch of the loader: with distance maps if the method needs them."""
        name = getattr(self, "name", None)  # None: a batch for no particular method
        needed = name is not None and methods.entry(name).load().needs_distance_maps
        spacings = [None] * len(labels)
        return Batch(images, labels, stacked_maps(labels, CLASSES, spacings) if needed else None)

    def steps(
        self, method: Method, config: RunConfig, batches: list[Batch], count: int
    ) -> list[float]:
        """The loss of every step of a plain loop."""
        optimisers = build_optimisers(optimised_groups(method), config.training)
        losses = []
        method.train()
        for index in range(count):
            seed_step(0, index, 0)
            set_rates(optimisers, index, config.training)
            loss = total(method(batches[index % len(batches)], Step(index, count)))
            for optimiser in optimisers:
                optimiser.zero_grad()
            loss.backward()
            for optimiser in optimisers:
                optimiser.step()
            method.after_step(Step(index, count))
            losses.append(loss.item())
        return losses

    def train(
        self, data: PreparedData, config: RunConfig, folder: Path, stop_after: int | None = None
    ) -> State:
        """Train on the first two labelled patients, or raise after a number of steps."""
        split = RunSplit(split=data.manifest.split, labelled=FIRST_LABELLED)
        cases = cases_of(data, split)
        done = itertools.count(1)

        def advance(steps: int, note: str) -> None:
            if next(done) == stop_after:
                raise InterruptionError

        folder.mkdir(exist_ok=True)
        method = self.build(data, config)
        fabric = Fabric(accelerator="cpu", devices=1)
        fit(fabric, method, data, cases, config, RunFolder(folder), Hooks(advance))
        return {name: x.clone() for name, x in method.state_dict().items()}


def total(terms: dict[str, Tensor]) -> Tensor:
    """The loss: the sum of its terms."""
    return torch.stack(list(terms.values())).sum()


def equal(one: State, other: State) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(x, other[n]) for n, x in one.items())
