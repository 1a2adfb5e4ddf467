"""A prepared data set of a few small slices, and settings that make runs on it small."""

from pathlib import Path

import numpy as np

from semiseg.data.manifest import Case, Manifest, PreparedData, Split, write_manifest
from semiseg.data.task import Intensity, Task

TRAIN = tuple(f"p{i}" for i in range(1, 7))
HELD = ("p7", "p8")
WITHOUT_LABEL = ("p5", "p6")
CLASSES = ("background", "disc", "square")
SMALL = (
    "data.size=32",
    "data.quarter_turns_and_flips=0.5",
    "training.batch_size=4",
    "training.labelled_batch_size=2",
    "training.iterations=6",
    "training.optimiser=adamw",
    "training.precision=32-true",  # also where a CPU has bf16 instructions
    "training.learning_rate=0.001",
    "training.validate_every=3",
    "training.checkpoint_every=2",
    "training.log_every=1",
    "unet.channels=[8, 8, 8, 8, 8]",
)
SWIN = ("swin.embed_dim=8", "swin.head_dim=4")
CONTRAST = (*SWIN, "mcsc.projector_hidden=16", "mcsc.projector_width=8")


def draw_slice(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An int16 image [1, 36, 32] of a disc and a square with different grey values, and its label."""
    rows, columns = np.mgrid[:36, :32]
    label = np.zeros((36, 32), np.uint8)
    top, left = rng.integers(2, 8, 2)
    label[top : top + 12, left : left + 10] = 2
    label[np.hypot(rows - 25 + rng.integers(3), columns - 20 + rng.integers(3)) < 7] = 1
    image = np.array([100, 400, 250])[label] + rng.normal(0, 20, label.shape)
    return image[None].astype(np.int16), label


def write_small_data(folder: Path) -> PreparedData:
    """Eight patients of one case and two slices each; p5 and p6 have no label file."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    cases = []
    for number, patient in enumerate((*TRAIN, *HELD)):
        rng = np.random.default_rng(number)
        slices = [draw_slice(rng) for _ in range(2)]
        image = np.stack([image for image, _ in slices])
        label = np.stack([label for _, label in slices])
        np.save(folder / "images" / f"{patient}.npy", image)
        labelled = patient not in WITHOUT_LABEL
        if labelled:
            np.save(folder / "labels" / f"{patient}.npy", label)
        bounds = (float(image.min()), float(image.max()))
        cases.append(
            Case(
                identifier=patient, patient=patient, shape=image.shape, labelled=labelled,
                bounds=bounds, spacing=(8.0, 1.5, 1.5),
            )
        )  # fmt: skip
    task = Task(
        name="shapes", kind="volumes", channels=1, classes=CLASSES,
        intensity=Intensity(kind="minmax"), median_shape=(2, 36, 32), spacing=(8.0, 1.5, 1.5),
    )  # fmt: skip
    split = Split(train=TRAIN, validation=HELD, labelled_order=("p1", "p2", "p3", "p4"))
    manifest = Manifest(task=task, layout="written", split=split, cases=tuple(cases))
    write_manifest(folder, manifest)
    return PreparedData(folder)


OPTIONS = {
    "cross-teaching": SWIN,
    "mcsc": CONTRAST,
    "cross-level": ("cross-level.patches=2", "cross-level.projector_widths=[8, 8, 8]"),
    "plgcl": ("data.size=64", "plgcl.head_hidden=16", "plgcl.head_width=8", "plgcl.ema_decay=0.9"),
}


def small_settings(method: str) -> tuple[str, ...]:
    """Settings that make a run of ``method`` small."""
    return SMALL + OPTIONS.get(method, ())
