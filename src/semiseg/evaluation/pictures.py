"""Scores of pictures, with the mean absolute error in addition to Dice and IoU."""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError
from semiseg.evaluation.classes import Classes, foreground
from semiseg.evaluation.overlap import mae
from semiseg.evaluation.protocols import STRICT, CaseScore, Missing, Protocol, score_case
from semiseg.evaluation.resize_upper_bound import resize_nearest
from semiseg.evaluation.surfaces import Spacing


def score_picture(
    prediction: NDArray[np.generic],
    reference: NDArray[np.generic],
    classes: Classes,
    spacing: Spacing | None = None,
    protocol: Protocol = STRICT,
    missing: Missing = "worst",
    case: str = "",
    probability: NDArray[np.generic] | None = None,
) -> list[CaseScore]:
    """Score one picture: all of :func:`semiseg.evaluation.protocols.score_case`, and MAE.

    Distances without a spacing are in pixels. MAE is defined for every status, also for empty masks,
    over the pixels that are not ignored.
    Under a protocol with a ``picture_size`` everything is resized to that side first, masks by nearest
    neighbour and probabilities linearly. The original sizes may then differ, and if the probabilities
    of all codes are given, their argmax replaces the prediction.

    Args:
        prediction: [H, W] or [1, H, W] class codes.
        reference: the same shape; pixels that are ``IGNORE_INDEX`` do not count.
        classes: names by position, background first, or code -> name.
        spacing: (slice, row, column) in mm, usually None.
        protocol: definitions.
        missing: the rule for missing structures.
        case: identifier.
        probability: [H, W] of the only foreground class, or [K, H, W] by code; without it MAE is
            computed from the hard mask.

    Raises:
        UserError: as ``score_case``, or if ``probability`` does not fit.
    """
    pair = [array.reshape(1, *array.shape[-2:]) for array in (prediction, reference)]
    named = foreground(classes)
    if probability is not None:
        shape = pair[1].shape[-2:] if protocol.picture_size is None else probability.shape[-2:]
        _check_probability(probability, shape, named, case)
    if protocol.picture_size is not None:
        size = (protocol.picture_size, protocol.picture_size)
        pair = [resize_nearest(array, size) for array in pair]
        if probability is not None:
            probability = _resize_linear(probability, size)
            if probability.ndim == 3:
                pair[0] = probability.argmax(0)[None]
    p, r = pair
    scores = [
        dataclasses.replace(score, units="pixels") if score.units == "voxels" else score
        for score in score_case(p, r, classes, spacing, protocol, missing, case)
    ]
    scored = np.ones(r.shape, bool) if IGNORE_INDEX in named else r != IGNORE_INDEX
    if not scored.any():
        return scores
    return [
        dataclasses.replace(
            score, mae=mae(_of_class(p, probability, score.code)[scored], (r == score.code)[scored])
        )
        for score in scores
    ]


def _of_class(
    prediction: NDArray[np.generic], probability: NDArray[np.generic] | None, code: int
) -> NDArray[np.generic]:
    """Return the probability or the hard mask of one class, [1, H, W]."""
    if probability is None:
        return prediction == code
    return (probability if probability.ndim == 2 else probability[code])[None]


def _check_probability(
    probability: NDArray[np.generic], shape: tuple[int, ...], named: dict[int, str], case: str
) -> None:
    one = probability.ndim == 2 and len(named) == 1
    many = probability.ndim == 3 and probability.shape[0] > max(named)
    if not (one or many) or probability.shape[-2:] != shape:
        raise UserError(
            f"The probability of {case or 'a picture'} has shape {list(probability.shape)}: give "
            f"{list(shape)} for one foreground class, or one such map for every code."
        )


def _resize_linear(probability: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.float64]:
    before = probability.shape[-2:]
    factors = [1.0] * (probability.ndim - 2) + [
        new / old for new, old in zip(size, before, strict=True)
    ]
    values = probability.astype(np.float64)
    resized = ndimage.zoom(values, factors, order=1, mode="nearest", grid_mode=True)
    return np.asarray(resized, np.float64)
