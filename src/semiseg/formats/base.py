"""What a file format is: how a file is recognised, read and written."""

import dataclasses
from abc import ABC, abstractmethod
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
        shape: of the array in the file.
        spacing: (slice, row, column) in mm; None where the format carries none.
        affine: voxel of the file to RAS in mm; None where the format carries none.
    """

    codes: NDArray[np.uint8]
    shape: tuple[int, ...]
    spacing: tuple[float, float, float] | None = None
    affine: NDArray[np.float64] | None = None


@dataclasses.dataclass(frozen=True)
class Reference:
    """The image that a result was predicted from: a result lies on its grid.

    Attributes:
        volume: the image as it was read; its geometry counts.
        path: its file, whose header and axes a result of the same format takes over; None where the
            geometry of ``volume`` is all there is (a DICOM series, slices stacked by a layout).
        classes: names of the result's classes, background first.
    """

    volume: Volume
    path: Path | None
    classes: tuple[str, ...]


class Format(ABC):
    """One file format. To add one: a file in this folder and a line in ``FORMATS``.

    An instance holds no state. Libraries that take long to import are imported by the methods that
    need them.

    Attributes:
        name: what people call it.
        suffixes: how names of its files end, in lower case; the first is the usual one.
        kind: ``volume``: voxels with an affine; ``picture``: pixels, or pages of them; ``arrays``:
            named arrays without geometry.
        multichannel: whether an image of several channels can be read from it.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    kind: ClassVar[Kind]
    multichannel: ClassVar[bool] = True

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is of this format, by its name. Reading refuses a file that is not."""
        return path.name.lower().endswith(self.suffixes)

    def suffix(self, path: Path) -> str:
        """The part of the name of ``path`` that says the format, in lower case: ``.nii.gz`` as a whole."""
        name = path.name.lower()
        return max((end for end in self.suffixes if name.endswith(end)), key=len, default="")

    def files(self, path: Path) -> tuple[Path, ...]:
        """All files that ``path`` is read from: itself, and the voxels of a header that lie beside it.

        Raises:
            UserError: for voxels that are missing or lie outside the header's folder.
        """
        return (path,)

    @abstractmethod
    def read_image(self, path: Path, channels: int = 1) -> Volume:
        """Read an image (no label) with its geometry: image [D, C, H, W].

        Args:
            path: its file.
            channels: that the image must have, or (pictures) is converted to.

        Raises:
            UserError: for a file that is unreadable, truncated, empty, constant, holds NaN, or has
                other axes.
        """

    @abstractmethod
    def read_mask(self, path: Path, values: MaskValues = USUAL) -> Mask:
        """Read class codes without knowing their image.

        Args:
            path: the mask's file.
            values: what its values mean, where the format leaves that open (pictures).

        Raises:
            UserError: for a file that is unreadable or holds no class codes.
        """

    def read_label(self, path: Path, like: Volume) -> NDArray[np.uint8]:
        """Read the label of the image ``like``, with the same slices: [D, H, W].

        Raises:
            UserError: for an unreadable file, another shape or grid than the image's, or values that
                are no class codes.
        """
        codes = self.read_mask(path).codes
        depth, _, height, width = like.image.shape
        if codes.shape != (depth, height, width):
            raise UserError(
                f"{path} has {times(codes.shape)} voxels but its image has "
                f"{times((depth, height, width))}: export the label on the image's grid."
            )
        return codes

    def mask_suffix(self, path: Path) -> str:
        """The suffix of a mask whose image is ``path``: the same format, in one file."""
        return self.suffix(path)

    @abstractmethod
    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write class codes [D, H, W] on the grid of their image; never seen half-written.

        Raises:
            UserError: where the shapes differ or the file cannot be written.
        """

    @abstractmethod
    def write_probabilities(
        self, path: Path, probabilities: NDArray[np.floating[Any]], like: Reference
    ) -> None:
        """Write probabilities [K, D, H, W] of K classes on the grid of their image.

        Raises:
            UserError: where the shapes differ or the file cannot be written.
        """


def file_of(like: Reference) -> Path:
    """The image's file, for a format that writes a result only beside a file of its own.

    Raises:
        ValueError: where there is none, which is a fault of the caller.
    """
    if like.path is None:
        raise ValueError("this format takes the grid of a result from the image's file")
    return like.path
