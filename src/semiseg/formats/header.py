"""Headers of pictures: size, colours, depth and pages, read without the pixels."""

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.errors import UserError
from semiseg.files import check_file
from semiseg.formats.pages import is_plain, pages_header
from semiseg.formats.quiet import quiet_pillow
from semiseg.formats.sizes import DEFLATE
from semiseg.formats.tiff import Tiff
from semiseg.formats.values import damaged
from semiseg.formats.whole import PNG

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

GREY = ("1", "L", "LA", "I", "F")
MOST_PIXELS = 2**27  # per page: 134 million, or 11,585 x 11,585


@dataclasses.dataclass(frozen=True)
class Header:
    """The header of a picture.

    Attributes:
        height, width: in pixels, after the rotation by the EXIF orientation.
        channels: 1 grey, 3 coloured.
        deep: more than 8 bits per channel.
        pages: 1, or the number of slices of a stack (TIFF, .npy).
        turned: whether that rotation swaps height and width.
        coloured: pixels are colours.
        palette: pixels are indices of a palette.
        lossy: JPEG.
        bits: bits per value of a grey picture; values of 2 or 4 bits are spread over 0 to 255.
        inverted: see `tiff.Tiff`.
        tiff: the header of a TIFF or .npy file if `pages.read_pages` reads it; None if Pillow does.
    """

    height: int
    width: int
    channels: int
    deep: bool
    pages: int = 1
    turned: bool = False
    coloured: bool = False
    palette: bool = False
    lossy: bool = False
    bits: int = 8
    inverted: bool = False
    tiff: Tiff | None = None


def read_header(path: Path | str) -> Header:
    """The header of a picture.

    Raises:
        UserError: for a file that is missing, not a picture, animated, or implausibly large.
    """
    path = Path(path)
    check_file(path)
    tiff = pages_header(path)
    if tiff is not None and not is_plain(path, tiff):
        deep = tiff.dtype.kind in "if" or tiff.dtype.itemsize > 1 or tiff.scaled
        return Header(
            tiff.height, tiff.width, tiff.channels, deep, tiff.pages,
            coloured=tiff.channels == 3, bits=tiff.bits, inverted=tiff.inverted, tiff=tiff,
        )  # fmt: skip
    bits = tiff.bits if tiff is not None else _png_bits(path)
    with opened(path) as file:
        width, height = file.size
        turned = _orientation(file, path) in (5, 6, 7, 8)
        if turned:
            height, width = width, height
        mode, lossy = file.mode, file.format in ("JPEG", "MPO")
        grey = mode.split(";")[0] in GREY
        deep = mode.split(";")[0] in ("I", "F")
        return Header(
            height, width, 1 if grey else 3, deep, turned=turned,
            coloured=not grey and mode not in ("P", "PA"), palette=mode in ("P", "PA"), lossy=lossy,
            bits=bits, inverted=tiff is not None and tiff.inverted,
        )  # fmt: skip


@contextmanager
def opened(path: Path) -> Iterator["ImageFile"]:
    """Open a picture with Pillow and check it before its pixels are read.

    Raises:
        UserError: for a file that is missing, damaged, animated, or implausibly large.
    """
    from PIL import Image, UnidentifiedImageError

    check_file(path)
    errors: tuple[Any, ...] = (
        UnidentifiedImageError, OSError, EOFError, SyntaxError, ValueError, LookupError, TypeError,
        ArithmeticError, AttributeError, AssertionError, struct.error, zlib.error,
    )  # fmt: skip
    try:
        quiet_pillow()
        with Image.open(path) as file:
            _check(file, path)
            yield file
    except Image.DecompressionBombError:
        raise _too_large(path, "hundreds of millions of pixels") from None
    except UserError:
        raise
    except errors:
        raise damaged(path, "a picture") from None


def _check(file: "ImageFile", path: Path) -> None:
    width, height = file.size
    # not check_announced: a pixel may be one bit, which deflate compresses as well as a byte
    if width * height > min(MOST_PIXELS, 8 * DEFLATE * path.stat().st_size):
        raise _too_large(path, f"{height:,} x {width:,} pixels")
    pages = getattr(file, "n_frames", 1) if file.format != "MPO" else 1
    if pages > 1:
        raise UserError(
            f"{path} is animated ({pages} frames in a {file.format}): save each as its own picture."
        )


def _too_large(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} ({path.stat().st_size:,} bytes) claims {what}, which is too large to be "
        "read: copy it again, reduce it or cut it into tiles."
    )


def _orientation(file: "ImageFile", path: Path) -> int:
    """The EXIF orientation; 1 if there is none."""
    from PIL import Image

    if file.format == "PNG" and not _has_metadata_after_pixels(path):
        exif = Image.Image.getexif(file)  # the method of PNG files reads all pixels first
    else:
        exif = file.getexif()
    return int(exif.get(0x0112, 1))


def _png_bits(path: Path) -> int:
    """Bits per value of a PNG in grey; 8 for all other pictures.

    Raises:
        UserError: for 16 bits per value with colour or transparency, of which Pillow keeps 8.
    """
    with path.open("rb") as file:
        start = file.read(26)
    if len(start) < 26 or start[:8] != PNG:
        return 8
    bits, kind = start[24], start[25]
    if bits == 16 and kind in (2, 4, 6):
        raise UserError(
            f"{path} has 16 bits per channel with colour or transparency, half of which would be lost: "
            "save it as a TIFF, or as a PNG of 8 bits."
        )
    return bits if kind == 0 else 8


def _has_metadata_after_pixels(path: Path) -> bool:
    """Whether a PNG has EXIF or text after its pixels, which opening it does not read."""
    pixels = False
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if pixels and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            pixels |= kind == b"IDAT"
            file.seek(length + 4, 1)
    return False
