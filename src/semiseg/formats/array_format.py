"""Base class of formats of named arrays: ``image`` and ``label`` without geometry."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import atomic_output
from semiseg.formats.arrays import as_slices, stack
from semiseg.formats.base import Format, Mask, Reference, file_of
from semiseg.formats.grid import check_result
from semiseg.formats.mask_values import USUAL, MaskValues
from semiseg.formats.values import as_codes

KEYS = ("image", "label")


class ArrayFormat(Format):
    """A format of named arrays, as in the preprocessed data sets of benchmarks."""

    kind = "arrays"
    multichannel = False

    @abstractmethod
    def load(self, path: Path) -> dict[str, NDArray[Any]]:
        """The arrays ``image`` and ``label``, as far as they exist.

        Raises:
            UserError: for an unreadable file, and for arrays that the file is too small to contain.
        """

    @abstractmethod
    def has_label(self, path: Path) -> bool:
        """Whether a file contains ``label``; reads no array.

        Raises:
            UserError: if it cannot be read.
        """

    @abstractmethod
    def save(self, path: Path, name: str, array: NDArray[Any]) -> None:
        """Write one compressed array to ``path``."""

    def read_slices(self, path: Path) -> Volume:
        """Read ``image`` and any ``label``, of two or three axes: image [D, 1, H, W] as stored.

        Raises:
            UserError: as in :meth:`load` and :func:`semiseg.formats.arrays.as_slices`.
        """
        return as_slices(self.load(path), path)

    def read_image(self, path: Path, channels: int = 1) -> Volume:
        """Read ``image`` without its label: [D, 1, H, W]."""
        arrays = {name: array for name, array in self.load(path).items() if name == "image"}
        return stack([as_slices(arrays, path)], [path], path.name)

    def read_mask(self, path: Path, values: MaskValues = USUAL) -> Mask:
        """Read ``label`` of two or three axes."""
        label = self.load(path).get("label")
        if label is None or label.ndim not in (2, 3) or label.size == 0:
            raise UserError(
                f"{path} has no array 'label' of two or three axes: check that it is a mask."
            )
        codes = as_codes(label, path)
        return Mask(codes.reshape(-1, *codes.shape[-2:]), codes.shape)

    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write ``label`` with the axes of the image's array."""
        shape = self._shape(path, mask.shape, like)
        self._write(path, "label", np.asarray(mask, np.uint8).reshape(shape))

    def write_probabilities(
        self, path: Path, probabilities: NDArray[np.floating[Any]], like: Reference
    ) -> None:
        """Write ``probabilities``: the axis of classes, then the axes of the image's array."""
        shape = self._shape(path, probabilities.shape[1:], like)
        values = np.asarray(probabilities, np.float32).reshape(-1, *shape)
        self._write(path, "probabilities", values)

    def _shape(self, path: Path, result: tuple[int, ...], like: Reference) -> tuple[int, ...]:
        """The shape of the image's array; checks that a result [D, H, W] fits it."""
        source = file_of(like)
        shape = self.load(source)["image"].shape
        check_result(result, (1, *shape)[-3:], path, source)
        return shape

    def _write(self, path: Path, name: str, array: NDArray[Any]) -> None:
        with atomic_output(path) as partial:
            self.save(partial, name, array)
