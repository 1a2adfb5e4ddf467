"""Any file format of volumes: NIfTI through nibabel, others through SimpleITK."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.grid import GRID_TOLERANCE, Affine, apart, as_label, as_volume
from semiseg.formats.itk import itk_files, load_itk, write_itk_mask, write_itk_probabilities
from semiseg.formats.names import NIFTI_SUFFIXES, VOLUME_SUFFIXES, suffix_of
from semiseg.formats.nifti import load_nifti, write_nifti_mask, write_nifti_probabilities
from semiseg.text import times

# Where header and voxels are two files, a mask is written as the one file of the same format.
ONE_FILE = {".mhd": ".mha", ".nhdr": ".nrrd", ".nii": ".nii.gz"}


def load_volume(path: Path) -> tuple[NDArray[Any], Affine]:
    """The voxels in the file's axes, and the affine (RAS, mm).

    Raises:
        UserError: for a file that is unreadable or of another kind, or would take absurdly more
            memory than its size.
    """
    if suffix_of(path) not in VOLUME_SUFFIXES:
        raise UserError(f"{path} is no volume: use one of {', '.join(VOLUME_SUFFIXES)}.")
    return load_nifti(path) if suffix_of(path) in NIFTI_SUFFIXES else load_itk(path)


def volume_files(path: Path) -> tuple[Path, ...]:
    """All files that a volume is read from: ``path``, and the voxels of a header that lie beside it.

    Raises:
        UserError: for voxels that are missing or lie outside the header's folder.
    """
    return (path,) if suffix_of(path) in NIFTI_SUFFIXES else itk_files(path)


def read_volume(path: Path | str, channels: int = 1) -> Volume:
    """Read an image (no label) with its geometry.

    Args:
        path: a file of one of ``VOLUME_SUFFIXES``.
        channels: what a fourth axis (or each voxel's components) must count; with 1 it may be absent.

    Returns:
        image [D, C, H, W] as :func:`semiseg.formats.grid.as_volume` makes it.

    Raises:
        UserError: for a file that is unreadable, truncated, empty, constant, holds NaN, or has
            other axes.
    """
    path = Path(path)
    return as_volume(*load_volume(path), path, channels)


def read_channels(paths: Sequence[Path]) -> Volume:
    """Read an image whose channels lie in a file each, on one grid.

    Raises:
        UserError: where a file is not readable by :func:`read_volume`, or they differ in grid.
    """
    first, *others = (read_volume(path) for path in paths)
    for path, other in zip(paths[1:], others, strict=True):
        if (other.image.shape, other.slice_axis) != (first.image.shape, first.slice_axis):
            raise UserError(
                f"{path} has {times(_size(other))} voxels (slices first) but {paths[0]} has "
                f"{times(_size(first))}: resample the channels of an image to one grid."
            )
        if first.affine is None or other.affine is None:
            continue
        stored = np.moveaxis(first.image[:, 0], 0, first.slice_axis).shape
        away = apart(other.affine, first.affine, stored)
        if not away <= GRID_TOLERANCE * min(first.spacing or (1.0,)):
            raise UserError(
                f"{path} lies up to {away:.3g} mm away from {paths[0]} (their affines differ): "
                "resample the channels of an image to one grid."
            )
    image = np.concatenate([first.image, *(other.image for other in others)], axis=1)
    return dataclasses.replace(first, image=image)


def read_volume_label(path: Path | str, like: Volume) -> NDArray[np.uint8]:
    """Read the label of the image ``like``, with the same slice axis: [D, H, W].

    Raises:
        UserError: for an unreadable file, another shape or grid than the image's, or values that
            are no class codes.
    """
    path = Path(path)
    return as_label(*load_volume(path), path, like)


def mask_suffix(path: Path) -> str:
    """How the name of a mask ends whose image is ``path``: the same format."""
    suffix = suffix_of(path)
    return ONE_FILE.get(suffix, suffix)


def write_volume_mask(path: Path, mask: NDArray[np.integer[Any]], reference_path: Path) -> None:
    """Write [D, H, W] class codes in the format (by its name) and on the grid of their image.

    Raises:
        UserError: where the shapes differ or the file cannot be written.
    """
    nifti = suffix_of(path) in NIFTI_SUFFIXES
    (write_nifti_mask if nifti else write_itk_mask)(path, mask, reference_path)


def write_volume_probabilities(
    path: Path, probabilities: NDArray[np.floating[Any]], reference_path: Path
) -> None:
    """Write [K, D, H, W] probabilities: a fourth axis of NIfTI, components of other formats.

    Raises:
        UserError: where the shapes differ or the file cannot be written.
    """
    nifti = suffix_of(path) in NIFTI_SUFFIXES
    write = write_nifti_probabilities if nifti else write_itk_probabilities
    write(path, probabilities, reference_path)


def _size(volume: Volume) -> tuple[int, int, int]:
    depth, _, height, width = volume.image.shape
    return depth, height, width
