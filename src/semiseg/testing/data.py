"""Small prepared data sets of slices and of volumes, and settings that make runs on them small."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semiseg.data.manifest import Case, Manifest, PreparedData, Split, write_manifest
from semiseg.data.task import Intensity, Task

Spacing = tuple[float, float, float]
Arrays = tuple[np.ndarray, np.ndarray]

TRAINING = (
    "training.batch_size=4",
    "training.labelled_batch_size=2",
    "training.optimiser=adamw",
    "training.precision=32-true",  # also where a CPU has bf16 instructions
    "training.learning_rate=0.001",
    "training.checkpoint_every=2",
    "training.log_every=1",
)
SLICES = (
    *TRAINING,
    "training.iterations=6",
    "training.validate_every=3",
    "data.size=32",
    "data.quarter_turns_and_flips=0.5",
    "unet.channels=[8, 8, 8, 8, 8]",
    "swin.embed_dim=8",
    "swin.head_dim=4",
)
VOLUMES = (
    *TRAINING,
    "training.iterations=4",
    "training.validate_every=2",
    "data.dimensions=3",
    "data.patch=[8, 16, 16]",
    "data.quarter_turns_and_flips=0.3",
    "data.rotation=0.5",
    "data.scaling=0.1",
    "unet.channels=[4, 6, 8]",
    "unet.dropout=[0, 0.1, 0.2]",
    "vnet.channels=[4, 6, 8]",
    "vnet.blocks=[1, 2, 2]",
)
OPTIONS = {
    ("mcsc", 2): ("mcsc.projector_hidden=16", "mcsc.projector_width=8"),
    ("mcsc", 3): (
        "mcsc.scales=[1, 2]", "mcsc.patch_sides={1: 4, 2: 4}", "mcsc.projector_hidden=8",
        "mcsc.projector_width=8",
    ),
    ("batformer", 2): (
        "batformer.channels=[8, 8, 8, 8, 8]", "batformer.heads=[2, 2]",
        "batformer.head_dim=[8, 8]",
    ),
    ("nnformer", 3): ("nnformer.embed_dim=8", "nnformer.head_dim=4"),
    ("cross-level", 2): ("cross-level.patches=2", "cross-level.projector_widths=[8, 8, 8]"),
    # as without a profile
    ("self-training", 2): (
        "self-training.network=unet", "self-training.guard=false", "self-training.dropped_channels=0",
    ),
    ("plgcl", 2): (
        "data.size=64", "plgcl.head_hidden=16", "plgcl.head_width=8", "plgcl.ema_decay=0.9",
    ),
}  # fmt: skip


def small_settings(method: str, dimensions: int = 2) -> tuple[str, ...]:
    """Settings, as after ``--set``, that make a run of ``method`` small.

    Methods of other packages get small networks and batches; they add options of their own.
    """
    return (SLICES if dimensions == 2 else VOLUMES) + OPTIONS.get((method, dimensions), ())


def draw_slice(rng: np.random.Generator) -> Arrays:
    """Image [1, 36, 32] int16 with a disc and a square of their own grey values, label [36, 32]."""
    rows, columns = np.mgrid[:36, :32]
    label = np.zeros((36, 32), np.uint8)
    top, left = rng.integers(2, 8, 2)
    label[top : top + 12, left : left + 10] = 2
    label[np.hypot(rows - 25 + rng.integers(3), columns - 20 + rng.integers(3)) < 7] = 1
    image = np.array([100, 400, 250])[label] + rng.normal(0, 20, label.shape)
    return image[None].astype(np.int16), label


def draw_volume(rng: np.random.Generator, shape: tuple[int, int, int]) -> Arrays:
    """Image int16 of ``shape`` with a ball and a box of their own grey values, and its label."""
    z, y, x = np.indices(shape)
    label = np.zeros(shape, np.uint8)
    label[2:6, 3:9, 2:8] = 2
    centre = np.array(shape) * (0.6, 0.65, 0.7) + rng.uniform(-1, 1, 3)
    away = np.sqrt(((np.stack([z, y, x], -1) - centre) ** 2 * (2, 1, 1)).sum(-1))
    label[away < 4] = 1
    image = np.array([100, 400, 250])[label] + rng.normal(0, 20, shape)
    return image.astype(np.int16), label


def write_slices(folder: Path) -> PreparedData:
    """Eight patients of one case and two slices each; p5 and p6 have no label file."""
    task = Task(
        name="shapes", kind="volumes", channels=1, classes=("background", "disc", "square"),
        intensity=Intensity(kind="minmax"), median_shape=(2, 36, 32), spacing=(8.0, 1.5, 1.5),
    )  # fmt: skip
    split = Split(
        train=tuple(f"p{i}" for i in range(1, 7)), validation=("p7", "p8"),
        labelled_order=("p1", "p2", "p3", "p4"),
    )  # fmt: skip

    def draw() -> Iterator[Arrays]:
        for number in range(8):
            rng = np.random.default_rng(number)
            slices = [draw_slice(rng) for _ in range(2)]
            yield np.stack([image for image, _ in slices]), np.stack([label for _, label in slices])

    return _write(folder, task, split, draw(), without_label=("p5", "p6"))


def write_volumes(folder: Path, spacing: Spacing = (2, 1, 1)) -> PreparedData:
    """Five patients of one volume; p3 and p4 have no label file; p2 is smaller than a patch."""
    task = Task(
        name="solids", kind="volumes", channels=1, classes=("background", "ball", "box"),
        intensity=Intensity(kind="minmax"), median_shape=(12, 20, 18), spacing=spacing,
    )  # fmt: skip
    split = Split(train=("p1", "p2", "p3", "p4"), validation=("p5",), labelled_order=("p1", "p2"))

    def draw() -> Iterator[Arrays]:
        for number in range(5):
            shape = (7, 15, 14) if number == 1 else (10 + number, 20, 18)
            image, label = draw_volume(np.random.default_rng(number), shape)
            yield image[:, None], label

    return _write(folder, task, split, draw(), without_label=("p3", "p4"))


def write_pictures(folder: Path, shape: tuple[int, int]) -> PreparedData:
    """Six pictures of one channel and ``shape``; p4 and p5 have no label file; p6 is for validation."""
    task = Task(
        name="blobs", kind="pictures", channels=1, classes=("background", "disc", "square"),
        intensity=Intensity(kind="minmax"), median_shape=(1, *shape),
    )  # fmt: skip
    split = Split(
        train=tuple(f"p{i}" for i in range(1, 6)), validation=("p6",),
        labelled_order=("p1", "p2", "p3"),
    )  # fmt: skip

    def draw() -> Iterator[Arrays]:
        for number in range(6):
            rng = np.random.default_rng(number)
            image = np.full((1, 1, *shape), 100, np.int16)
            label = np.zeros((1, *shape), np.uint8)
            top, left = (int(rng.integers(n - 36 + 1)) for n in shape)
            (
                image[0, :, top : top + 36, left : left + 32],
                label[0, top : top + 36, left : left + 32],
            ) = draw_slice(rng)
            yield image, label

    return _write(folder, task, split, draw(), without_label=("p4", "p5"))


def _write(
    folder: Path, task: Task, split: Split, cases: Iterator[Arrays], without_label: tuple[str, ...]
) -> PreparedData:
    """One case per patient, of images [D, C, H, W] and labels [D, H, W]."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    found = []
    for patient, (image, label) in zip((*split.train, *split.validation), cases, strict=True):
        np.save(folder / "images" / f"{patient}.npy", image)
        labelled = patient not in without_label
        if labelled:
            np.save(folder / "labels" / f"{patient}.npy", label)
        found.append(
            Case(
                identifier=patient, patient=patient, shape=image.shape, labelled=labelled,
                bounds=(float(image.min()), float(image.max())), spacing=task.spacing,
            )
        )  # fmt: skip
    write_manifest(folder, Manifest(task=task, layout="written", split=split, cases=tuple(found)))
    return PreparedData(folder)
