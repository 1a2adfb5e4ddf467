"""Reading and writing pictures (photographs, endoscopy, histology, microscopy) and stacks."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import atomic_output
from semiseg.formats.header import Header, opened, read_header
from semiseg.formats.pages import read_pages
from semiseg.formats.quiet import hearing_libtiff
from semiseg.formats.remarks import SCALED, TRANSPARENT
from semiseg.formats.tiff import TIFF_SUFFIXES, check_tiff
from semiseg.formats.values import compact, damaged
from semiseg.formats.whole import check_png

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def read_picture(
    path: Path | str,
    channels: int | None = None,
    max_side: int | None = None,
    header: Header | None = None,
) -> Volume:
    """Read a picture or a stack: image [D, C, H, W], rotated by the EXIF orientation.

    8 bits stay uint8; more (16 bits, floating point) become int16 if that is exact, else float32.

    Args:
        path: a PNG, JPEG, BMP or TIFF file.
        channels: 1 (grey), 3 (RGB), or None to keep those of the file. Transparency is dropped.
        max_side: a larger picture is reduced to this longer side, antialiased; stacks are not.
        header: header of the file, if it was already read.

    Raises:
        UserError: for a file that is unreadable, constant, animated, or implausibly large.
    """
    path = Path(path)
    header = header or read_header(path)
    channels = channels or header.channels
    remarks: dict[str, str] = {}
    if header.tiff is None:
        picture = load(path)
        array = _by_pillow(picture, header, channels, max_side)
        spacing = None
        if _is_transparent(picture):
            remarks[TRANSPARENT] = path.name
    else:
        if header.tiff.palette:
            raise UserError(f"{path} is a stack with a palette: save its pages in grey or RGB.")
        array, spacing = read_pages(path), header.tiff.spacing
        if header.pages == 1:
            array = _shrunk(array[0], max_side)[None]
        array = np.moveaxis(_with_channels(array, channels), 3, 1)
        if header.tiff.scaled:
            remarks[SCALED] = path.name
    small = compact(array, path)
    image = small if header.deep else np.ascontiguousarray(array, np.uint8)
    return Volume(image, None, spacing, remarks=remarks)


def picture_shape(path: Path | str) -> tuple[int, int]:
    """(height, width) of a picture after the rotation by EXIF; reads only the header."""
    header = read_header(path)
    return header.height, header.width


def load(path: Path) -> "Picture":
    """The picture, loaded by Pillow and rotated by the EXIF orientation.

    Raises:
        UserError: as in `semiseg.formats.header.opened`, and for a wrong checksum.
    """
    from PIL import ImageOps

    check_png(path)
    prints = path.name.lower().endswith(TIFF_SUFFIXES) and check_tiff(path)
    errors: list[str] = []
    with contextlib.ExitStack() as stack:
        if prints:
            errors = stack.enter_context(hearing_libtiff())
        picture: Picture = ImageOps.exif_transpose(stack.enter_context(opened(path)))
        picture.load()
    if errors:
        raise damaged(path, "a picture")
    return picture


def reduced(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """(width, height) with a longer side of at most ``max_side``."""
    if max_side is None or max(size) <= max_side:
        return size
    scale = max_side / max(size)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def write_coloured_mask(
    path: Path | str, mask: NDArray[np.integer[Any]], colours: Sequence[str]
) -> None:
    """Write a mask as PNG in RGB.

    Args:
        path: the file to write (atomically).
        mask: [H, W] or [1, H, W] class codes.
        colours: ``#rrggbb`` of each class.

    Raises:
        UserError: if the file cannot be written.
    """
    table = np.array([list(bytes.fromhex(colour[1:])) for colour in colours], np.uint8)
    write_png(Path(path), table[np.asarray(mask).reshape(mask.shape[-2:])])


def write_picture_mask(
    path: Path | str, mask: NDArray[np.integer[Any]], classes: int, as_they_are: bool = False
) -> None:
    """Write a mask as PNG: 0 and 255 if there are two classes, else the class codes.

    Args:
        path: the file to write (atomically).
        mask: [H, W] or [1, H, W] class codes.
        classes: number of classes, including the background.
        as_they_are: write the values of ``mask``, however many classes there are.

    Raises:
        UserError: if the file cannot be written.
    """
    codes = np.asarray(mask, np.uint8).reshape(mask.shape[-2:])
    binary = classes == 2 and not as_they_are
    write_png(Path(path), np.where(codes > 0, 255, 0).astype(np.uint8) if binary else codes)


def write_png(path: Path, values: NDArray[np.uint8]) -> None:
    """Write [H, W] as a grey PNG, or [H, W, 3] in RGB, atomically.

    Raises:
        UserError: if the file cannot be written.
    """
    from PIL import Image

    with atomic_output(path) as partial:
        Image.fromarray(values).save(partial, format="PNG")


def _is_transparent(picture: "Picture") -> bool:
    """Whether any pixel differs from the others in its transparency."""
    if "transparency" in picture.info and picture.mode in ("1", "L", "RGB", "P"):
        picture = picture.convert("RGBA")
    if picture.getbands()[-1] not in ("A", "a"):
        return False
    low, high = picture.getchannel(len(picture.getbands()) - 1).getextrema()
    return low != high


def _by_pillow(
    picture: "Picture", header: Header, channels: int, max_side: int | None
) -> NDArray[Any]:
    """[1, C, H, W]."""
    from PIL import Image

    if header.deep:  # 16 bits of grey
        array = _shrunk(np.asarray(picture)[..., None], max_side)
    else:
        picture = picture.convert("L" if channels == 1 else "RGB")
        size = reduced(picture.size, max_side)
        if size != picture.size:
            picture = picture.resize(size, Image.Resampling.BICUBIC)
        array = np.asarray(picture, np.uint8)
        array = array if array.ndim == 3 else array[..., None]
    return np.moveaxis(_with_channels(array, channels), 2, 0)[None]


def _with_channels(array: NDArray[Any], channels: int) -> NDArray[Any]:
    """Convert [..., S] between 1 and 3 samples."""
    if array.shape[-1] == channels:
        return array
    if channels == 3:
        return np.repeat(array, 3, axis=-1)
    grey = array.astype(np.float32) @ np.array(
        [0.299, 0.587, 0.114], np.float32
    )  # as in Pillow's "L"
    return _as(grey[..., None], array.dtype)


def _shrunk(array: NDArray[Any], max_side: int | None) -> NDArray[Any]:
    """[H, W, S] of any depth, reduced with antialiasing and clipped to the original range."""
    from PIL import Image

    size = reduced((array.shape[1], array.shape[0]), max_side)
    if size == (array.shape[1], array.shape[0]):
        return array
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(array[..., index], np.float32)).resize(
                size, Image.Resampling.BICUBIC
            )
        )
        for index in range(array.shape[-1])
    ]
    return _as(np.clip(np.stack(planes, -1), array.min(), array.max()), array.dtype)


def _as(values: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    return values if dtype.kind == "f" else np.rint(values).astype(dtype)
