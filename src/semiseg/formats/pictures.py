"""Pictures (photographs, endoscopy, histology, microscopy), and stacks of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import atomic_output
from semiseg.formats.header import Header, opened, read_header
from semiseg.formats.tiff import read_tiff
from semiseg.formats.values import compact

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def read_picture(
    path: Path | str,
    channels: int | None = None,
    max_side: int | None = None,
    header: Header | None = None,
) -> Volume:
    """Read a picture or a stack: image [D, C, H, W], turned as its EXIF entry says.

    8 bits stay uint8; more (16 bits, floating point) become int16 where that is exact, else float32.

    Args:
        path: a PNG, JPEG, BMP or TIFF file.
        channels: 1 (grey) or 3 (RGB); None keeps what the file has. Transparency is dropped.
        max_side: a larger picture is reduced to this longer side, antialiased; a stack never is.
        header: of the file, where it was read already.

    Raises:
        UserError: for a file that is unreadable, constant, animated, or larger than can be.
    """
    path = Path(path)
    header = header or read_header(path)
    channels = channels or header.channels
    if header.tiff is None:
        array = _by_pillow(path, header, channels, max_side)
        spacing = None
    else:
        if header.tiff.palette:
            raise UserError(f"{path} is a stack with a palette: save its pages in grey or RGB.")
        array, spacing = read_tiff(path), header.tiff.spacing
        if header.pages == 1:
            array = _shrunk(array[0], max_side)[None]
        array = np.moveaxis(_with_channels(array, channels), 3, 1)
    small = compact(array, path)
    return Volume(small if header.deep else np.ascontiguousarray(array, np.uint8), None, spacing)


def picture_shape(path: Path | str) -> tuple[int, int]:
    """(height, width) of a picture after its EXIF turn; reads the header only."""
    header = read_header(path)
    return header.height, header.width


def load(path: Path) -> "Picture":
    """The picture, turned as EXIF says and loaded by Pillow.

    Raises:
        UserError: as `semiseg.formats.header.opened`.
    """
    from PIL import ImageOps

    with opened(path) as file:
        picture: Picture = ImageOps.exif_transpose(file)
        picture.load()
    return picture


def reduced(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """(width, height) with a longer side of at most ``max_side``."""
    if max_side is None or max(size) <= max_side:
        return size
    scale = max_side / max(size)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def write_picture_mask(path: Path | str, mask: NDArray[np.integer[Any]], classes: int) -> None:
    """Write a mask as PNG: 0 and 255 where there are two classes, else the codes themselves.

    Args:
        path: the file to write; never seen half-written.
        mask: [H, W] or [1, H, W] class codes.
        classes: how many classes there are, with the background.

    Raises:
        UserError: where the file cannot be written.
    """
    codes = np.asarray(mask, np.uint8).reshape(mask.shape[-2:])
    values = np.where(codes > 0, 255, 0).astype(np.uint8) if classes == 2 else codes
    write_png(Path(path), values)


def write_png(path: Path, values: NDArray[np.uint8]) -> None:
    """Write [H, W] as a grey PNG; never seen half-written.

    Raises:
        UserError: where the file cannot be written.
    """
    from PIL import Image

    with atomic_output(path) as partial:
        Image.fromarray(values).save(partial, format="PNG")


def _by_pillow(path: Path, header: Header, channels: int, max_side: int | None) -> NDArray[Any]:
    """[1, C, H, W]."""
    from PIL import Image

    picture = load(path)
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
    """[..., S] with 1 or 3 samples as the other number of them."""
    if array.shape[-1] == channels:
        return array
    if channels == 3:
        return np.repeat(array, 3, axis=-1)
    grey = array.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # as Pillow's "L"
    return _as(grey[..., None], array.dtype)


def _shrunk(array: NDArray[Any], max_side: int | None) -> NDArray[Any]:
    """[H, W, S] of any depth, antialiased; its own values stay within its own range."""
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
