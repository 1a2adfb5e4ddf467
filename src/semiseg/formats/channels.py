"""Images with one file per channel."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats import volume_format_of
from semiseg.formats.grid import GRID_TOLERANCE, apart
from semiseg.text import times


def read_channels(paths: Sequence[Path]) -> Volume:
    """Read an image with one file per channel, all on the same grid.

    Raises:
        UserError: if a file cannot be read as a volume, or the grids differ.
    """
    first, *others = (volume_format_of(path).read_image(path) for path in paths)
    for path, other in zip(paths[1:], others, strict=True):
        _check_grid(path, other, paths[0], first)
    image = np.concatenate([first.image, *(other.image for other in others)], axis=1)
    remarks = {key: name for one in (first, *others) for key, name in one.remarks.items()}
    return dataclasses.replace(first, image=image, remarks=remarks)


def _check_grid(path: Path, other: Volume, first_path: Path, first: Volume) -> None:
    if (other.image.shape, other.slice_axis) != (first.image.shape, first.slice_axis):
        raise UserError(
            f"{path} has {times(_size(other))} voxels (slices first) but {first_path} has "
            f"{times(_size(first))}: resample all channels to the same grid."
        )
    if first.affine is None or other.affine is None:
        return
    stored = np.moveaxis(first.image[:, 0], 0, first.slice_axis).shape
    away = apart(other.affine, first.affine, stored)
    if not away <= GRID_TOLERANCE * min(first.spacing or (1.0,)):
        raise UserError(
            f"{path} is up to {away:.3g} mm away from {first_path} (their affines differ): "
            "resample all channels to the same grid."
        )


def _size(volume: Volume) -> tuple[int, int, int]:
    depth, _, height, width = volume.image.shape
    return depth, height, width
