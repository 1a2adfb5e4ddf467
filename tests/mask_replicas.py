"""Replicas of data sets with several masks per image, several folders of masks, or several visits.

The sizes are parameters: tests write small ones, ``benchmarks/replicas.py`` writes large ones.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from replicas import oblique, save

Mask = NDArray[np.bool_]


def save_picture(path: Path, pixels: NDArray[np.generic]) -> None:
    """A picture in the format of its name: [H, W] bool or uint8, or [H, W, 3]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    Image.fromarray(values).save(path)


def disc(shape: tuple[int, int], row: float, column: float, radius: float) -> Mask:
    """A disc."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(rows - row, columns - column) < radius)


def noisy(rng: np.random.Generator, base: NDArray[np.generic], spread: float) -> NDArray[np.uint8]:
    """8-bit values with noise."""
    return np.clip(base + rng.normal(0, spread, base.shape), 0, 255).astype(np.uint8)


def nuclei(
    folder: Path, count: int = 8, side: int = 40, most: int = 5, unlabelled: int = 1
) -> None:
    """Data Science Bowl 2018: ID/images/ID.png, and ID/masks with a picture per nucleus."""
    for number in range(count):
        rng = np.random.default_rng(number)
        name = hashlib.sha256(str(number).encode()).hexdigest()
        taken = np.zeros((side, side), bool)
        masks = []
        for _ in range(int(rng.integers(2, most + 1))):
            row, column = rng.uniform(5, side - 5, 2)
            nucleus = disc(taken.shape, row, column, rng.uniform(2.5, 4.5)) & ~taken
            taken |= nucleus
            masks.append(nucleus)
        picture = noisy(rng, np.where(taken, 150.0, 30.0), 10)
        save_picture(folder / name / "images" / f"{name}.png", np.repeat(picture[..., None], 3, 2))
        if number >= count - unlabelled:
            continue
        for index, nucleus in enumerate(masks):
            own = hashlib.sha256(f"{number} {index}".encode()).hexdigest()
            save_picture(folder / name / "masks" / f"{own}.png", nucleus)


def ultrasound(folder: Path, count: int = 4, side: int = 48) -> None:
    """BUSI: benign, malignant and normal (with empty masks); every second picture has two lesions."""
    for kind in ("benign", "malignant", "normal"):
        for number in range(1, count + 1):
            rng = np.random.default_rng([number, *kind.encode()])
            row, column = side * rng.uniform(0.4, 0.7, 2)
            first = disc((side, side), row, column, side / 6) & (kind != "normal")
            second = disc((side, side), side * 0.15, side * 0.2, side / 10)
            two = kind != "normal" and number % 2 == 0
            lesions = first | second if two else first
            name = f"{kind} ({number})"
            picture = noisy(rng, np.where(lesions, 40.0, 130.0), 25)
            save_picture(folder / kind / f"{name}.png", np.repeat(picture[..., None], 3, 2))
            save_picture(folder / kind / f"{name}_mask.png", first)
            if two:
                save_picture(folder / kind / f"{name}_mask_1.png", second)


def branches(rng: np.random.Generator, shape: tuple[int, int], trees: int, width: float) -> Mask:
    """Branching lines that become thinner, from a point at the side."""
    height, breadth = shape
    canvas = Image.new("1", (breadth, height))
    draw = ImageDraw.Draw(canvas)
    step = max(min(shape) / 40, 2.0)
    start = (0.8 * breadth, 0.5 * height)
    ends = [(*start, angle, width, 0) for angle in rng.uniform(0, 2 * np.pi, trees)]
    while ends:
        x, y, angle, wide, age = ends.pop()
        if not (0 <= x < breadth and 0 <= y < height) or age > 40 or wide < 0.7:
            continue
        angle += rng.normal(0, 0.25)
        end = (x + step * np.cos(angle), y + step * np.sin(angle))
        draw.line((x, y, *end), fill=1, width=max(round(wide), 1))
        if rng.random() < 0.12:
            ends.append((*end, angle + rng.choice([-0.7, 0.7]), wide * 0.75, age + 1))
        ends.append((*end, angle, wide * 0.985, age + 1))
    return np.asarray(canvas, bool)


def vessels(
    folder: Path,
    training: int = 7,
    test: int = 2,
    shape: tuple[int, int] = (56, 60),
    width: float = 2.0,
) -> None:
    """DRIVE: TIFF pictures, 1st_manual with vessels, mask with the field of view, both as GIF."""
    for number in range(1, training + test + 1):
        rng = np.random.default_rng(number)
        part = "training" if number <= training else "test"
        field = disc(shape, shape[0] / 2, shape[1] / 2, 0.47 * min(shape))
        lines = branches(rng, shape, 8, width) & field
        lines[shape[0] // 2, shape[1] // 3 : shape[1] // 2] = True
        base = np.where(field, np.where(lines, 90.0, 150.0), 4.0)
        colours = noisy(rng, np.stack([base * 1.3, base, base * 0.5], -1), 8)
        place = folder / part
        save_picture(place / "images" / f"{number:02d}_{part}.tif", colours)
        save_picture(place / "1st_manual" / f"{number:02d}_manual1.gif", lines)
        save_picture(place / "mask" / f"{number:02d}_{part}_mask.gif", field)


ORGANS = ("kidney_left", "kidney_right", "liver", "vertebrae_L1", "vertebrae_L2")


def totalsegmentator(
    folder: Path, cases: int = 7, shape: tuple[int, int, int] = (26, 24, 8), unlabelled: int = 1
) -> None:
    """s0000/ct.nii.gz with a binary file per structure, empty if it is absent, and meta.csv."""
    rows = ["image_id;age;gender;split"]
    affine = np.diag([-1.5, -1.5, 1.5, 1.0])
    grid = np.moveaxis(np.indices(shape), 0, -1) / np.array(shape)
    centres = np.array(
        [[0.2, 0.6, 0.5], [0.8, 0.6, 0.5], [0.6, 0.3, 0.6], [0.5, 0.8, 0.4], [0.5, 0.8, 0.75]]
    )
    for number in range(cases):
        rng = np.random.default_rng(number)
        name = f"s{number:04d}"
        image = rng.normal(0, 15, shape)
        radii = np.array([0.15, 0.15, 0.22, 0.12, 0.12]) * rng.uniform(0.9, 1.1)
        for index, organ in enumerate(ORGANS):
            mask = (
                np.linalg.norm(grid - centres[index] - rng.uniform(-0.03, 0.03, 3), axis=-1)
                < radii[index]
            )
            mask &= not (number == 1 and organ == "kidney_left")
            image += mask * (40.0 + 25 * index)
            if number < cases - unlabelled:
                save(
                    folder / name / "segmentations" / f"{organ}.nii.gz",
                    mask.astype(np.uint8),
                    affine,
                )
        save(folder / name / "ct.nii.gz", image.astype(np.int16), affine)
        rows.append(f"{name};50;f;train")
    (folder / "meta.csv").write_text("\n".join(rows) + "\n")


def bids(folder: Path, subjects: int = 7, shape: tuple[int, int, int] = (26, 24, 8)) -> None:
    """Two sessions of every subject; lesions in derivatives, missing for the second session of one."""
    (folder / "derivatives" / "lesions").mkdir(parents=True, exist_ok=True)
    for place in (folder, folder / "derivatives" / "lesions"):
        (place / "dataset_description.json").write_text(json.dumps({"BIDSVersion": "1.8.0"}))
    grid = np.moveaxis(np.indices(shape), 0, -1) / np.array(shape)
    for subject in range(1, subjects + 1):
        for session in (1, 2):
            rng = np.random.default_rng([subject, session])
            name = f"sub-{subject:02d}_ses-{session:02d}"
            tree = f"sub-{subject:02d}/ses-{session:02d}/anat"
            head = np.linalg.norm(grid - 0.5, axis=-1) < 0.45
            lesion = np.linalg.norm(grid - rng.uniform(0.35, 0.65, 3), axis=-1) < 0.12
            image = (head * 200 + lesion * 150 + rng.normal(0, 12, shape)).astype(np.int16)
            save(folder / tree / f"{name}_T1w.nii.gz", image, oblique())
            if (subject, session) != (1, 2):
                path = (
                    folder / "derivatives" / "lesions" / tree / f"{name}_label-lesion_mask.nii.gz"
                )
                save(path, lesion.astype(np.uint8), oblique())


def brats(folder: Path, cases: int = 7, newer: bool = False) -> None:
    """BraTS 2021 (codes 1, 2, 4), or 2023 with two visits of the first patient (codes 1, 2, 3)."""
    separator, names = ("-", "t1n t1c t2w t2f") if newer else ("_", "t1 t1ce t2 flair")
    for number in range(cases):
        rng = np.random.default_rng(number)
        name = f"BraTS2021_{number:05d}"
        if newer:
            name = f"BraTS-GLI-{max(number - 1, 0):05d}-{int(number == 1):03d}"
        grid = np.moveaxis(np.indices((24, 22, 6)), 0, -1) / np.array((24, 22, 6))
        away = np.linalg.norm(grid - rng.uniform(0.4, 0.6, 3), axis=-1)
        label = np.select([away < 0.1, away < 0.2, away < 0.3], [1, 3 if newer else 4, 2]).astype(
            np.uint8
        )
        for index, channel in enumerate(names.split()):
            image = (100 * (away < 0.5) + 20 * index * label + rng.normal(0, 8, label.shape)).clip(
                0
            )
            save(
                folder / name / f"{name}{separator}{channel}.nii.gz",
                image.astype(np.int16),
                oblique(),
            )
        if number < cases - 1:
            save(folder / name / f"{name}{separator}seg.nii.gz", label, oblique())
