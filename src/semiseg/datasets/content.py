"""What the files of a folder hold: masks or images, judged by a few of them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError
from semiseg.formats import is_picture, volume_format_of
from semiseg.formats.header import read_header
from semiseg.formats.pages import read_pages
from semiseg.formats.pictures import load
from semiseg.text import plural

MOST_VALUES = 64
PER_VALUE = 8  # pixels: smaller images have few values by chance
SAMPLES = 3
ALIKE = 0.97  # intersection over union of two masks that count as the same


@dataclasses.dataclass(frozen=True)
class Content:
    """The content of some files: whether all look like masks, and words about them."""

    masks: bool
    words: str


def content_of(files: Sequence[Path]) -> Content:
    """Read a few of ``files`` and describe them."""
    count = min(SAMPLES, len(files))
    chosen = [files[index * (len(files) - 1) // max(count - 1, 1)] for index in range(count)]
    arrays = [array for path in dict.fromkeys(chosen) if (array := _pixels(path)) is not None]
    many = plural(len(files), "file")
    if not arrays:
        return Content(False, f"{many}, not readable")
    if not all(is_mask_like(array) for array in arrays):
        return Content(False, f"{many}, images")
    marked = [_marked(array) for array in arrays]
    words = f"{many}, {100 * np.mean([mask.mean() for mask in marked]):.0f}% marked"
    if len(marked) > 1 and all(same_region(marked[0], mask) for mask in marked[1:]):
        words += ", the same region in all, such as the field of view"
    return Content(True, words)


def is_mask_like(array: NDArray[Any]) -> bool:
    """Whether an image has the values of a mask: few, whole and not negative; or nearly black and white."""
    values = np.unique(array)
    if values.size == 1:  # an empty mask
        return bool(values[0] == 0)
    whole = bool((values >= 0).all() and (values == np.rint(values)).all())
    if whole and values.size <= max(2, min(MOST_VALUES, array.size // PER_VALUE)):
        return True
    if array.dtype != np.uint8 or array.max() < 224:
        return False
    distance = np.minimum(array, 255 - array)
    return bool((distance <= 32).mean() > 0.97 and (array > 127).mean() > 0.005)  # JPEG


def same_region(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Whether two masks mark nearly the same pixels."""
    if one.shape != other.shape or not one.any():
        return False
    return bool((one & other).sum() >= ALIKE * (one | other).sum())


def _marked(array: NDArray[Any]) -> NDArray[np.bool_]:
    high = array.max()
    return np.asarray(array > (127 if high > MOST_VALUES and array.dtype == np.uint8 else 0))


def _pixels(path: Path) -> NDArray[Any] | None:
    """The values of a file as numbers, colours as 0xRRGGBB; None if it cannot be read."""
    try:
        if not is_picture(path):
            return volume_format_of(path).load(path)[0]
        header = read_header(path)
        if header.tiff is not None:
            pixels = read_pages(path)
            return pixels[..., 0] if pixels.shape[-1] == 1 else pixels.mean(axis=-1)
        picture = load(path)
        if not (header.coloured or header.palette):
            array = np.asarray(picture)
            return array[..., 0] if array.ndim == 3 else array
        rgb = np.asarray(picture.convert("RGB"))
        if (rgb == rgb[..., :1]).all():
            return rgb[..., 0]
        return (rgb.astype(np.int64) << np.array([16, 8, 0])).sum(axis=-1)
    except UserError:
        return None
