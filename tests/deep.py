"""A prepared data set of a few small volumes, and settings that make 3D runs on it small."""

from pathlib import Path

import numpy as np

from semiseg.data.manifest import Case, Manifest, PreparedData, Split, write_manifest
from semiseg.data.task import Intensity, Task

TRAIN = tuple(f"p{i}" for i in range(1, 5))
HELD = ("p5",)
CLASSES = ("background", "ball", "box")
DEEP = (
    "data.dimensions=3",
    "data.patch=[8, 16, 16]",
    "data.quarter_turns_and_flips=0.3",
    "data.rotation=0.5",
    "data.scaling=0.1",
    "training.batch_size=4",
    "training.labelled_batch_size=2",
    "training.iterations=4",
    "training.optimiser=adamw",
    "training.precision=32-true",  # also where a CPU has bf16 instructions
    "training.learning_rate=0.001",
    "training.validate_every=2",
    "training.checkpoint_every=2",
    "training.log_every=1",
    "unet.channels=[4, 6, 8]",
    "unet.dropout=[0, 0.1, 0.2]",
)
VNET = ("vnet.channels=[4, 6, 8]", "vnet.blocks=[1, 2, 2]")
OPTIONS = {
    "cross-teaching": VNET,
    "mcsc": (
        *VNET,
        "mcsc.scales=[1, 2]", "mcsc.patch_sides={1: 3, 2: 4}", "mcsc.projector_hidden=8",
        "mcsc.projector_width=8",
    )
}  # fmt: skip


def deep_settings(method: str) -> tuple[str, ...]:
    """Settings that make a 3D run of ``method`` small."""
    return DEEP + OPTIONS.get(method, ())


def draw_volume(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """An int16 image of a ball and a box with different grey values, and its label."""
    z, y, x = np.indices(shape)
    label = np.zeros(shape, np.uint8)
    label[2:6, 3:9, 2:8] = 2
    centre = np.array(shape) * (0.6, 0.65, 0.7) + rng.uniform(-1, 1, 3)
    away = np.sqrt(((np.stack([z, y, x], -1) - centre) ** 2 * (2, 1, 1)).sum(-1))
    label[away < 4] = 1
    image = np.array([100, 400, 250])[label] + rng.normal(0, 20, shape)
    return image.astype(np.int16), label


def write_deep_data(folder: Path, spacing: tuple[float, float, float] = (2, 1, 1)) -> PreparedData:
    """Five patients of one volume; p3 and p4 have no label file; p2 is smaller than a patch."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    cases = []
    for number, patient in enumerate((*TRAIN, *HELD)):
        shape = (7, 15, 14) if patient == "p2" else (10 + number, 20, 18)
        image, label = draw_volume(np.random.default_rng(number), shape)
        np.save(folder / "images" / f"{patient}.npy", image[:, None])
        labelled = patient not in ("p3", "p4")
        if labelled:
            np.save(folder / "labels" / f"{patient}.npy", label)
        bounds = (float(image.min()), float(image.max()))
        cases.append(
            Case(
                identifier=patient, patient=patient, shape=image[:, None].shape,
                labelled=labelled, bounds=bounds, spacing=spacing,
            )
        )  # fmt: skip
    task = Task(
        name="solids", kind="volumes", channels=1, classes=CLASSES,
        intensity=Intensity(kind="minmax"), median_shape=(12, 20, 18), spacing=spacing,
    )  # fmt: skip
    split = Split(train=TRAIN, validation=HELD, labelled_order=("p1", "p2"))
    manifest = Manifest(task=task, layout="written", split=split, cases=tuple(cases))
    write_manifest(folder, manifest)
    return PreparedData(folder)
