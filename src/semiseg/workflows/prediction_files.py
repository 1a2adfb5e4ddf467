"""Predict one image and write its mask, for all commands that write masks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semiseg.data.volume import Volume
from semiseg.formats import format_of, stem_of, suffix_of
from semiseg.formats.base import Reference
from semiseg.inference.cleaning import keep_largest
from semiseg.inference.predictors import AnyPredictor


def probability_files(target: Path, classes: Sequence[str]) -> list[Path]:
    """The files of probabilities that `write_prediction` writes beside the mask ``target``."""
    return format_of(target).probability_files(_beside(target), classes)


def _beside(target: Path) -> Path:
    return target.with_name(f"{stem_of(target)}_prob{suffix_of(target)}")


def write_prediction(
    predictor: AnyPredictor,
    volume: Volume,
    target: Path,
    image: Path | None = None,
    *,
    probabilities: bool = False,
    largest: bool = False,
) -> None:
    """Predict one image and write its mask. The mask is written last: if it exists, all files exist.

    Args:
        predictor: the run's predictor.
        volume: the image.
        target: the mask's file. Its suffix determines the format.
        image: the image's file. A mask of the same format copies its header and axes.
        probabilities: also write the probabilities, as ``NAME_prob``.
        largest: keep only the largest connected component of each class.

    Raises:
        UserError: if a file cannot be written.
    """
    writer = format_of(target)
    like = Reference(volume, image, predictor.task.classes)
    if probabilities:
        values = predictor.probabilities(volume.image, spacing=volume.spacing)  # [D, K, H, W]
        mask = values.argmax(1).astype(np.uint8)
        writer.write_probabilities(_beside(target), np.moveaxis(values, 1, 0), like)
    else:
        mask = predictor.predict(volume.image, spacing=volume.spacing)
    writer.write_mask(target, keep_largest(mask) if largest else mask, like)
