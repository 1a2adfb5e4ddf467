"""Arrays ``image`` and ``label`` without geometry, as in preprocessed data sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.values import as_codes, compact
from semiseg.text import times


def as_slices(arrays: Mapping[str, NDArray[Any]], path: Path) -> Volume:
    """``image`` and any ``label``, of two or three axes: image [D, 1, H, W] as stored.

    The checks of :func:`compact` do not apply: a slice may be constant.

    Raises:
        UserError: for a missing ``image``, other axes, different shapes, or a label without codes.
    """
    if "image" not in arrays:
        raise UserError(
            f"{path} has no array 'image': check that the file belongs to this data set."
        )
    image, label = arrays["image"], arrays.get("label")
    if image.ndim not in (2, 3) or image.size == 0:
        raise UserError(
            f"{path} contains an image of shape {times(image.shape)}: export two or three axes."
        )
    if label is not None and label.shape != image.shape:
        raise UserError(
            f"{path} contains a label of shape {times(label.shape)} for an image of shape "
            f"{times(image.shape)}: export it again."
        )
    slices = (-1, *image.shape[-2:])
    codes = None if label is None else as_codes(label.reshape(slices), path)
    return Volume(image.reshape(slices)[:, None], codes)


def stack(parts: Sequence[Volume], paths: Sequence[Path], identifier: str) -> Volume:
    """Stack slices, in the given order, to one volume; ``paths`` are their files.

    Raises:
        UserError: for slices of different shapes, some slices without a label, or invalid values.
    """
    shapes = {part.image.shape[2:] for part in parts}
    if len(shapes) > 1:
        listed = " and ".join(times(shape) for shape in sorted(shapes))
        raise UserError(
            f"{paths[0].parent}: the slices of {identifier} have {listed} pixels: "
            "export them again."
        )
    labels = [part.label for part in parts if part.label is not None]
    if labels and len(labels) < len(parts):
        missing = next(p for p, part in zip(paths, parts, strict=True) if part.label is None)
        raise UserError(
            f"{missing} has no label but other slices of {identifier} have one: add it."
        )
    if len(parts) == 1:  # without a copy
        return Volume(compact(parts[0].image, paths[0]), parts[0].label)
    image = np.concatenate([part.image for part in parts])
    return Volume(compact(image, paths[0]), np.concatenate(labels) if labels else None)
