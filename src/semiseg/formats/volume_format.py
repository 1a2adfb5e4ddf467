"""Base class of formats of volumes: an affine, and labels on the grid of their image."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.base import Format, Mask
from semiseg.formats.grid import (
    Affine,
    as_label,
    as_volume,
    four_axes,
    slice_axis_of,
    slices_first,
    spacing_of,
)
from semiseg.formats.mask_values import USUAL, MaskValues
from semiseg.formats.remarks import with_remarks
from semiseg.formats.values import as_codes
from semiseg.text import times


class VolumeFormat(Format):
    """A format of voxels with an affine. All methods that read use :meth:`load`."""

    kind = "volume"

    @abstractmethod
    def load(self, path: Path) -> tuple[NDArray[Any], Affine]:
        """The voxels in the file's axes, and the affine (RAS, mm).

        Raises:
            UserError: for a file that is unreadable, or too small for its announced size.
        """

    def read_image(self, path: Path, channels: int = 1) -> Volume:
        """Read an image and convert it by :func:`semiseg.formats.grid.as_volume`.

        ``channels`` is the length of the fourth axis (or of a voxel's components); with 1 it may be
        absent.
        """
        volume = as_volume(*self.load(path), path, channels)
        return with_remarks(volume, self.remarks(path))

    def remarks(self, path: Path) -> dict[str, str]:
        """What is unusual in the header of a file that was read (`semiseg.formats.remarks`)."""
        return {}

    def read_label(self, path: Path, like: Volume) -> NDArray[np.uint8]:
        """Read a label, which must be on the grid of its image."""
        return as_label(*self.load(path), path, like)

    def read_mask(self, path: Path, values: MaskValues = USUAL) -> Mask:
        """Read a mask; unlike an image, it may be constant."""
        data, affine = self.load(path)
        data = four_axes(data, path, 1)[..., 0]
        source = spacing_of(affine, path)
        axis = slice_axis_of(data.shape, source)
        codes = as_codes(np.moveaxis(data, axis, 0), path)
        if not codes.size:
            raise UserError(f"{path} is empty ({times(data.shape)}): export it again.")
        return Mask(codes, data.shape, slices_first(source, axis), affine, axis)
