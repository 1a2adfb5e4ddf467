"""Small replicas of official data sets: their names, codes, dtypes, axis order and oddities."""

from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

OBLIQUE = np.array([[1.4, 0.1, 0, -80], [-0.1, 1.4, 0.5, 20], [0, -0.1, 9.9, 5], [0, 0, 0, 1.0]])


def save(path: Path, data: NDArray[np.generic], affine: NDArray[np.float64] = OBLIQUE) -> None:
    """One NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, affine), path)


def heart(rng: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Codes 0 to 3: right ventricle, ring and disc, somewhere near the middle of each slice."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    row, column = (np.array(shape[:2]) / 2 + rng.uniform(-2, 2, 2)).tolist()
    away = np.hypot(rows - row, columns - column)
    plane = np.where(away < 4, 3, np.where(away < 7, 2, 0))
    plane = np.where((plane == 0) & (np.hypot(rows - row, columns - column - 8) < 6), 1, plane)
    return np.repeat(plane[..., None], shape[2], 2).astype(np.uint8)


def acdc(folder: Path, patients: int = 3, frames: int = 5) -> None:
    """training/patient001 ... and testing/patient101: two annotated frames of a 4D series each."""
    for number in [*range(1, patients + 1), 101]:
        rng = np.random.default_rng(number)
        name = f"patient{number:03d}"
        place = folder / ("testing" if number > 100 else "training") / name
        masks = [heart(rng, (30, 26, 3)) for _ in range(frames)]
        series = np.stack([60 * m + rng.integers(0, 40, m.shape) for m in masks], 3)
        save(place / f"{name}_4d.nii.gz", series.astype(np.int16))
        ends = 1, frames - 1
        for frame in ends:
            save(place / f"{name}_frame{frame:02d}.nii.gz", series[..., frame - 1].astype(np.int16))
            save(place / f"{name}_frame{frame:02d}_gt.nii.gz", masks[frame - 1])
        (place / "Info.cfg").write_text(
            f"ED: {ends[0]}\nES: {ends[1]}\nGroup: DCM\nHeight: 184.0\nNbFrame: {frames}\n"
            "Weight: 95.0\n"
        )
        (place / "MANDATORY_CITATION.md").write_text("Bernard et al.\n")


def kits19(folder: Path, cases: int = 4) -> None:
    """data/case_00000: axial slices along the first axis; the last case has no segmentation."""
    axes = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
    for number in range(cases):
        rng = np.random.default_rng(number)
        place = folder / "data" / f"case_{number:05d}"
        label = np.zeros((5, 28, 30), np.uint8)
        label[1:4, 8:18, 10:20] = 1
        label[2:4, 10:13, 12:15] = 2
        image = rng.normal(-20, 15, label.shape) + 60 * (label > 0) - 25 * (label == 2)
        save(place / "imaging.nii.gz", image.astype(np.float64), axes)
        if number < cases - 1:
            save(place / "segmentation.nii.gz", label, axes)
    (folder / "LICENSE").write_text("CC BY-NC-SA 4.0")


def btcv(folder: Path, numbers: tuple[int, ...], testing: tuple[int, ...] = ()) -> None:
    """RawData/Training/img and label with all 13 organs as stripes; RawData/Testing/img."""
    left_handed = np.diag([-0.7, 0.7, 3.0, 1.0])
    for number in (*numbers, *testing):
        rng = np.random.default_rng(number)
        label = np.zeros((32, 28, 4), np.uint8)
        for code in range(1, 14):
            label[2 * code : 2 * code + 2, 6:22] = code
        image = (rng.normal(40, 20, label.shape) + 10.0 * label).astype(np.int16)
        part = "Testing" if number in testing else "Training"
        place = folder / "RawData" / part
        save(place / "img" / f"img{number:04d}.nii.gz", image, left_handed)
        if part == "Training":
            save(place / "label" / f"label{number:04d}.nii.gz", label, left_handed)
