"""Small pictures with a mask, and what the scan of their folder finds."""

from pathlib import Path

import numpy as np

import mask_replicas
from semiseg.datasets import detect
from semiseg.datasets.base import Options, Scan

MASK = np.zeros((24, 24), bool)
MASK[4:12, 6:15] = True


def picture(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    mask_replicas.save_picture(path, pixels)


def scan(folder: Path, **options: object) -> Scan:
    return detect(folder)[0].scan(folder, Options(**options))  # type: ignore[arg-type]


def found(result: Scan) -> dict[str, bool]:
    return {case.identifier: case.has_label for case in result.cases}
