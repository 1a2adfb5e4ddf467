"""The formats of pictures and of stacks of pictures (TIFF)."""

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.base import Format, Mask, Reference
from semiseg.formats.header import read_header
from semiseg.formats.mask_values import USUAL, MaskValues
from semiseg.formats.masks import read_picture_mask
from semiseg.formats.npy import NPY_SUFFIXES, write_npy
from semiseg.formats.pictures import (
    read_picture,
    write_coloured_mask,
    write_picture_mask,
    write_png,
)
from semiseg.formats.tiff import TIFF_SUFFIXES, write_tiff_stack

LONGEST_WORD = 40  # bytes of a class in a file's name, of which file systems allow 255 in all


class PictureFormat(Format):
    """Single pictures through Pillow; masks are PNG."""

    name = "PNG, JPEG, BMP, GIF, WebP"
    suffixes: ClassVar[tuple[str, ...]] = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
    kind = "picture"

    def read_image(self, path: Path, channels: int | None = None) -> Volume:
        """Read a picture; ``channels`` is 1 (grey), 3 (RGB), or None to keep those of the file."""
        return read_picture(path, channels)

    def read_mask(self, path: Path, values: MaskValues = USUAL) -> Mask:
        """Read a mask of class codes, of black and white, or of colours."""
        codes = read_picture_mask(path, values=values).codes
        return Mask(codes.reshape(-1, *codes.shape[-2:]), codes.shape)

    def mask_suffix(self, path: Path) -> str:
        """PNG, which stores values exactly."""
        return ".png"

    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write a PNG in the colours or values of the source's labels.

        By default: 0 and 255 if there are two classes, else the class codes.
        """
        if like.colours is not None:
            write_coloured_mask(path, mask, like.colours)
        else:
            write_picture_mask(path, mask, len(like.classes), like.values)

    def write_probabilities(
        self, path: Path, probabilities: NDArray[np.floating[Any]], like: Reference
    ) -> None:
        """Write a grey file ``NAME_CLASS`` per foreground class; 255 is a probability of 1."""
        files = self.probability_files(path, like.classes)
        for file, values in zip(files, probabilities[1:], strict=True):
            self._write_grey(file, np.rint(255 * values).astype(np.uint8))

    def probability_files(self, path: Path, classes: Sequence[str]) -> list[Path]:
        """``NAME_CLASS`` per foreground class; the code is added to names that would be equal.

        Long names of classes are shortened.
        """
        suffix = self.suffix(path)
        # a class name may contain any character
        words = [_shortened(re.sub(r"[^\w#.-]+", "-", name)) for name in classes[1:]]
        lower = [word.lower() for word in words]  # some file systems ignore the case
        files = []
        for code, word in enumerate(words, start=1):
            unique = word if lower.count(word.lower()) == 1 else f"{word}-{code}"
            while unique.lower() in (lower[: code - 1] + lower[code:]):
                unique += f"-{code}"
            files.append(path.with_name(f"{path.name.removesuffix(suffix)}_{unique}{suffix}"))
        return files

    def _write_grey(self, path: Path, values: NDArray[np.uint8]) -> None:
        """Write [1, H, W]."""
        write_png(path, values[0])


class TiffFormat(PictureFormat):
    """TIFF: one page is a picture; several pages are slices of a volume. Masks have equal pages."""

    name = "TIFF"
    suffixes = TIFF_SUFFIXES

    def mask_suffix(self, path: Path) -> str:
        """The suffix of TIFF if ``path`` has several pages, else that of PNG."""
        with contextlib.suppress(UserError):  # a bad file is reported when it is read
            if read_header(path).pages > 1:
                return self.suffixes[0]
        return super().mask_suffix(path)

    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write the values of the mask, one page per slice."""
        write_tiff_stack(path, np.asarray(mask, np.uint8))

    def _write_grey(self, path: Path, values: NDArray[np.uint8]) -> None:
        write_tiff_stack(path, values)


class NpyFormat(PictureFormat):
    """``.npy``: an array of a picture or of the slices of a volume. Masks have the same axes."""

    name = ".npy"
    suffixes = NPY_SUFFIXES

    def mask_suffix(self, path: Path) -> str:
        """The same format."""
        return self.suffixes[0]

    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write the values of the mask: [H, W], or [D, H, W] of several slices."""
        self._write_grey(path, np.asarray(mask, np.uint8))

    def _write_grey(self, path: Path, values: NDArray[np.uint8]) -> None:
        write_npy(path, values[0] if len(values) == 1 else values)


def _shortened(word: str) -> str:
    return word.encode()[:LONGEST_WORD].decode(errors="ignore")


PICTURES = PictureFormat()
TIFF = TiffFormat()
NPY = NpyFormat()
