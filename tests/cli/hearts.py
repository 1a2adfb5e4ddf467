"""A small source of volumes with labels and class names."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

CLASSES = {"0": "background", "1": "RV", "2": "Myo", "3": "LV"}


def save(path: Path, array: np.ndarray[Any, Any], spacing: float = 8.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.5, 1.5, spacing, 1.0])), path)


def write_hearts(folder: Path) -> Path:
    """Six patients, one image and label each, with class names."""
    rng = np.random.default_rng(0)
    for number in range(1, 7):
        label = rng.integers(0, 4, (12, 11, 4)).astype(np.uint8)
        image = (100 * label + rng.integers(0, 20, label.shape)).astype(np.int16)
        save(folder / "images" / f"p{number}.nii.gz", image)
        save(folder / "labels" / f"p{number}.nii.gz", label)
    (folder / "dataset.json").write_text(json.dumps({"labels": CLASSES}))
    return folder
