"""Compare the time to load a batch of slices with the time of a training step.

    python benchmarks/loading.py [path/to/PREPARED]

Uses a prepared data set, or a temporary generated one of the shape of ACDC. Times batches whose slices are
read for the first time (cold: from memory-mapped files, normalised and resized), batches from the cache
(warm: only augmentation), and a training step of ``supervised`` (U-Net of the paper, forward, backward, SGD)
on as many images of the same size.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from common import Timing, clock, one_thread, summary, verdict
from semiseg import methods
from semiseg.config import DataConfig
from semiseg.data.loader import BatchLoader
from semiseg.data.manifest import Case, Manifest, PreparedData, Split, write_manifest
from semiseg.data.task import Intensity, Task
from semiseg.methods.base import Step
from semiseg.training.configuration import resolve_config
from semiseg.training.optimiser import build_optimisers

SHAPE = (10, 1, 256, 216)


def generated(folder: Path, cases: int) -> PreparedData:
    """A prepared data set of noise in the shape of ACDC."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    names = [f"case{number:03d}" for number in range(cases)]
    rng = np.random.default_rng(0)
    for name in names:
        image = rng.integers(0, 1000, SHAPE).astype(np.int16)
        np.save(folder / "images" / f"{name}.npy", image)
        np.save(folder / "labels" / f"{name}.npy", (image[:, 0] // 250).astype(np.uint8))
    task = Task(
        name="noise", kind="volumes", channels=1, classes=("background", "RV", "Myo", "LV"),
        intensity=Intensity(kind="minmax"), median_shape=(10, 256, 216),
    )  # fmt: skip
    listed = tuple(
        Case(identifier=n, patient=n, shape=SHAPE, labelled=True, bounds=(0, 999)) for n in names
    )
    split = Split(train=tuple(names))
    write_manifest(folder, Manifest(task=task, layout="noise", split=split, cases=listed))
    return PreparedData(folder)


def loading(data: PreparedData, size: int, batch: int) -> tuple[Timing, Timing]:
    """Time batches when every slice is read for the first time, and when all are in the cache."""
    cases = data.of_patients(data.manifest.split.train, labelled=True)
    half = batch // 2
    config = DataConfig(size=size, cache_mb=8192)
    loader = BatchLoader(data, cases, cases, (batch - half, half), config, 0)
    count = min(len(loader.labelled) // max(half, 1), 60)
    cold = [clock(lambda s=step: loader(s)) for step in range(count)]  # type: ignore[misc]
    warm = [clock(lambda s=step: loader(s)) for step in range(count)]  # type: ignore[misc]
    return summary(cold), summary(warm)


def training_step(data: Manifest, size: int, batch: int, repeats: int) -> Timing:
    """Time forward, backward and the optimiser's step of ``supervised``."""
    task = data.task
    config = resolve_config(data, "supervised", None, [f"data.size={size}"]).config
    method = methods.entry("supervised").load()(task, config).train()
    (optimiser,) = build_optimisers(method.parameter_groups(), config.training)
    from semiseg.data.batch import Batch

    images = torch.rand(batch, task.channels, size, size)
    labels = torch.randint(0, len(task.classes), (batch, size, size))

    def step() -> None:
        optimiser.zero_grad()
        torch.stack(list(method(Batch(images, labels), Step(0, 100)).values())).sum().backward()
        optimiser.step()

    clock(step)
    return summary([clock(step) for _ in range(repeats)])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, help="a prepared data set")
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 128])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    one_thread()
    with tempfile.TemporaryDirectory() as folder:
        data = PreparedData(options.data) if options.data else generated(Path(folder) / "d", 24)
        for size in options.sizes:
            cold, warm = loading(data, size, options.batch)
            step = training_step(data.manifest, size, options.batch, options.repeats)
            print(f"{size}, batches of {options.batch}: training step {step}")
            for name, timing in (("cold", cold), ("warm", warm)):
                part = timing.median / (timing.median + step.median)
                target = verdict(part, 0.1, at_most=True)
                print(f"  {name} batch {timing}, {100 * part:.2g}% of an iteration ({target})")


if __name__ == "__main__":
    main()
