"""Predicting one image and writing its mask, for every verb that writes masks."""

from pathlib import Path

import numpy as np

from semiseg.data.volume import Volume
from semiseg.formats import format_of, stem_of, suffix_of
from semiseg.formats.base import Reference
from semiseg.inference.cleaning import keep_largest
from semiseg.inference.volumes import AnyPredictor


def write_prediction(
    predictor: AnyPredictor,
    volume: Volume,
    target: Path,
    image: Path | None = None,
    *,
    probabilities: bool = False,
    largest: bool = False,
) -> None:
    """Predict one image and write its mask last: where the mask is, all its files are.

    Args:
        predictor: of the run.
        volume: the image.
        target: the mask's file, whose name says its format.
        image: the image's file, where a mask of the same format takes over its header and axes.
        probabilities: write them beside the mask too, as ``NAME_prob``.
        largest: keep of each class its largest connected piece alone.

    Raises:
        UserError: where a file cannot be written.
    """
    writer = format_of(target)
    like = Reference(volume, image, predictor.task.classes)
    if probabilities:
        values = predictor.probabilities(volume.image, spacing=volume.spacing)  # [D, K, H, W]
        mask = values.argmax(1).astype(np.uint8)
        beside = target.with_name(f"{stem_of(target)}_prob{suffix_of(target)}")
        writer.write_probabilities(beside, np.moveaxis(values, 1, 0), like)
    else:
        mask = predictor.predict(volume.image, spacing=volume.spacing)
    writer.write_mask(target, keep_largest(mask) if largest else mask, like)
