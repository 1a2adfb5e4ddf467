"""Predict one image and write its mask, for all commands that write masks."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semiseg.data.volume import Volume
from semiseg.formats import format_of, stem_of, suffix_of
from semiseg.formats.base import Reference
from semiseg.inference.cleaning import keep_largest
from semiseg.inference.confidence import confidence_of
from semiseg.inference.predictors import AnyPredictor


@dataclasses.dataclass(frozen=True)
class Written:
    """A mask that was written.

    Attributes:
        confidence: soft Dice confidence of the network in it, before components are removed.
        marked: number of pixels or voxels of structures.
    """

    confidence: float
    marked: int


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
) -> Written:
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
    task = predictor.task
    values_of = None if task.label_values is None else np.array(task.label_values, np.uint8)
    like = Reference(volume, image, task.classes, values_of is not None, task.label_colours)
    if probabilities:
        values = predictor.probabilities(volume.image, spacing=volume.spacing)  # [D, K, H, W]
        mask, confidence = values.argmax(1).astype(np.uint8), confidence_of(values)
        writer.write_probabilities(_beside(target), np.moveaxis(values, 1, 0), like)
    else:
        found = predictor.segment(volume.image, spacing=volume.spacing)
        mask, confidence = found.labels, found.confidence
    mask = keep_largest(mask) if largest else mask
    writer.write_mask(target, mask if values_of is None else values_of[mask], like)
    return Written(confidence, int(np.count_nonzero(mask)))
