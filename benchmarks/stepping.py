"""The training step of the training loop, for the benchmarks that time it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.manifest import Manifest, Split
from semiseg.data.task import Intensity, Task
from semiseg.methods.base import Step
from semiseg.training.loop import train_step
from semiseg.training.optimiser import build_optimisers

LATE = Step(30_000, 40_000)
TASK = Task(
    name="benchmark", kind="volumes", channels=1, classes=("background", "RV", "Myo", "LV"),
    intensity=Intensity(kind="minmax"), median_shape=(10, 224, 224),
)  # fmt: skip
DATA = Manifest(task=TASK, layout="benchmark", split=Split(train=()), cases=())


def heart_like(size: int, labelled: int = 2, unlabelled: int = 2) -> Batch:
    """Images with a disc, a ring around it and a crescent next to it, of the size in ACDC."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size] / size
    labels = np.zeros((labelled + unlabelled, size, size), np.int64)
    for label in labels:
        row, column = 0.5 + rng.uniform(-0.05, 0.05, 2)
        label[np.hypot(rows - row, columns - column + 0.12) < 0.09] = 1
        label[np.hypot(rows - row, columns - column) < 0.12] = 2
        label[np.hypot(rows - row, columns - column) < 0.08] = 3
    images = labels[:, None] / 3 + rng.normal(0, 0.1, (len(labels), 1, size, size))
    return Batch(torch.from_numpy(images).float(), torch.from_numpy(labels[:labelled]))


def blocks(side: int, labelled: int = 2, unlabelled: int = 2) -> Batch:
    """Volumes [side, side, side] of blocks, labelled by their grey value."""
    rng = np.random.default_rng(0)
    count, grid = labelled + unlabelled, 4
    codes = rng.integers(0, len(TASK.classes), (count, grid, grid, grid))
    labels = np.kron(codes, np.ones((1, *(side // grid,) * 3))).astype(np.int64)
    images = labels[:, None] / 3 + rng.normal(0, 0.1, (count, 1, side, side, side))
    return Batch(torch.from_numpy(images).float(), torch.from_numpy(labels[:labelled]))


def training_step(
    config: RunConfig, batch: Batch, device: str, step: Step = LATE
) -> Callable[[], None]:
    """Forward, backward and the optimiser's step of ``config``'s method on ``batch``."""
    torch.manual_seed(0)
    precision: Any = config.training.precision
    fabric = Fabric(accelerator=device, devices=1, precision=precision)
    method = methods.entry(config.method).load()(TASK, config)
    built = build_optimisers(method.parameter_groups(), config.training)
    model, *optimisers = fabric.setup(method, *built)
    model.train()
    batch = batch.to(fabric.device)

    def call() -> None:
        train_step(fabric, model, method, optimisers, batch, step, config.training)

    return call
