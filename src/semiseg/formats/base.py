"""The interface of file formats: recognising, reading and writing files."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.mask_values import USUAL, MaskValues
from semiseg.text import times

Kind = Literal["volume", "picture", "arrays"]


@dataclasses.dataclass(frozen=True)
class Mask:
    """A mask that is read without its image.

    Attributes:
        codes: [D, H, W] class codes.
        shape: shape of the array in the file.
        spacing: (slice, row, column) in mm; None if the format stores none.
        affine: voxel of the file to RAS in mm; None if the format stores none.
        slice_axis: the file's axis of the slices, for ``affine``.
    """

    codes: NDArray[np.uint8]
    shape: tuple[int, ...]
    spacing: tuple[float, float, float] | None = None
    affine: NDArray[np.float64] | None = None
    slice_axis: int = 0


@dataclasses.dataclass(frozen=True)
class Reference:
    """The image that a result was predicted from. The result is written on its grid.

    Attributes:
        volume: the image as it was read; only its geometry is used.
        path: its file; a result of the same format takes over its header and axes. None if there is
            no such file (a DICOM series, slices stacked by a layout).
        classes: names of the result's classes, background first.
        values: whether the mask holds the values of the source's labels, which are written as they are.
        colours: ``#rrggbb`` of each class, to write masks of pictures in colours; None: in grey.
    """

    volume: Volume
    path: Path | None
    classes: tuple[str, ...]
    values: bool = False
    colours: tuple[str, ...] | None = None


class Format(ABC):
    """A file format. To add one, add a file to this folder and a line to ``FORMATS``.

    Instances have no state. Libraries that are slow to import are imported in the methods that use
    them.

    Attributes:
        name: its common name.
        suffixes: suffixes of its files in lower case; the most common one first.
        kind: ``volume``: voxels with an affine; ``picture``: pixels, or pages of them; ``arrays``:
            named arrays without geometry.
        multichannel: whether it supports images of several channels.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    kind: ClassVar[Kind]
    multichannel: ClassVar[bool] = True

    def recognises(self, path: Path) -> bool:
        """Whether the name of ``path`` is of this format. Reading checks the content."""
        return path.name.lower().endswith(self.suffixes)

    def suffix(self, path: Path) -> str:
        """The suffix of ``path`` in lower case, such as ``.nii.gz``; empty for other formats."""
        name = path.name.lower()
        return max((end for end in self.suffixes if name.endswith(end)), key=len, default="")

    def files(self, path: Path) -> tuple[Path, ...]:
        """All files that ``path`` is read from: itself and, for a header, the files of its voxels.

        Raises:
            UserError: if a file of voxels is missing or is outside the header's folder.
        """
        return (path,)

    @abstractmethod
    def read_image(self, path: Path, channels: int = 1) -> Volume:
        """Read an image with its geometry, without a label: image [D, C, H, W].

        Args:
            path: its file.
            channels: number of channels; pictures are converted to it, other images must have it.

        Raises:
            UserError: for a file that is unreadable, truncated, empty, constant, contains NaN, or
                has other axes.
        """

    @abstractmethod
    def read_mask(self, path: Path, values: MaskValues = USUAL) -> Mask:
        """Read class codes without their image.

        Args:
            path: the mask's file.
            values: the meaning of its values, for formats that do not define it (pictures).

        Raises:
            UserError: for a file that is unreadable or does not contain class codes.
        """

    def read_label(self, path: Path, like: Volume) -> NDArray[np.uint8]:
        """Read the label of the image ``like``, with the same slices: [D, H, W].

        Raises:
            UserError: for an unreadable file, a shape or grid that differs from the image's, or
                values that are not class codes.
        """
        codes = self.read_mask(path).codes
        depth, _, height, width = like.image.shape
        if codes.shape != (depth, height, width):
            elements = "pixels" if depth == 1 == len(codes) else "voxels"
            raise UserError(
                f"{path} has {times(codes.shape)} {elements} but its image has "
                f"{times((depth, height, width))}: export the label on the image's grid."
            )
        return codes

    def mask_suffix(self, path: Path) -> str:
        """The suffix of a mask for the image ``path``: the same format, in a single file."""
        return self.suffix(path)

    @abstractmethod
    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write a mask [D, H, W] on the grid of its image, atomically.

        It contains class codes or, with ``like.values``, values of the source's labels.

        Raises:
            UserError: if the shapes differ or the file cannot be written.
        """

    @abstractmethod
    def write_probabilities(
        self, path: Path, probabilities: NDArray[np.floating[Any]], like: Reference
    ) -> None:
        """Write probabilities [K, D, H, W] of K classes on the grid of their image.

        Raises:
            UserError: if the shapes differ or the file cannot be written.
        """

    def probability_files(self, path: Path, classes: Sequence[str]) -> list[Path]:
        """The files that `write_probabilities` writes for ``path``: by default, only this one."""
        return [path]


def file_of(like: Reference) -> Path:
    """The image's file, for formats that need it to write a result.

    Raises:
        ValueError: if there is none, which is an error of the caller.
    """
    if like.path is None:
        raise ValueError("this format takes the grid of a result from the image's file")
    return like.path
