"""Reading masks of pictures: class codes, black and white (also lossy), or colours."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from semiseg.data.outlines import outline_growth
from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError
from semiseg.formats.header import Header, read_header
from semiseg.formats.mask_values import (
    LARGEST_CODE,
    USUAL,
    MaskValues,
    PictureMask,
    codes_of_colours,
    codes_of_greys,
    hexadecimal,
)
from semiseg.formats.pages import read_pages
from semiseg.formats.pictures import load, reduced

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MOST_COLOURS = 64
SPREAD = 16  # largest difference of channels that still counts as grey: JPEG is not exact


def read_picture_mask(
    path: Path | str,
    shape: tuple[int, ...] | None = None,
    max_side: int | None = None,
    values: MaskValues = USUAL,
) -> PictureMask:
    """Read a mask of class codes, of black and white (also lossy), or of colours.

    Args:
        path: the mask's file.
        shape: the shape of its picture, which the mask must have: (height, width), or (pages,
            height, width) for a stack.
        max_side: a larger mask is reduced to this longer side by nearest neighbour; stacks are not.
        values: the meaning of its values.

    Raises:
        UserError: for an unreadable mask, another shape, colours that are not classes, or grey
            levels that are neither class codes nor two values.
    """
    path = Path(path)
    header = read_header(path)
    if shape is not None:
        check_size(header, shape, path)
    if values.colours is not None:
        decoded = codes_of_colours(_rgb(path, header), values.colours, path, header.lossy)
    else:
        grey = _grey(path, header, bool(values.known))
        decoded = codes_of_greys(grey, path, header.lossy, values)
    if header.inverted:
        decoded = dataclasses.replace(decoded, inverted=True)
    if header.pages > 1:
        return decoded
    codes = shrunk(decoded.codes, max_side)
    if codes is decoded.codes:
        return decoded
    # thin lines break, so that nobody could find out later that they were closed
    classes = int(decoded.codes.max(initial=0, where=decoded.codes != IGNORE_INDEX))
    outlined = bool(outline_growth(decoded.codes[None], classes))
    return dataclasses.replace(decoded, codes=codes, outlined=outlined)


def read_instances(
    path: Path | str, shape: tuple[int, int], max_side: int | None = None
) -> NDArray[np.uint8]:
    """Read a mask of numbered objects (8 or 16 bits) as 0 and 1: [H, W] uint8.

    Raises:
        UserError: for an unreadable or coloured mask, or a shape that differs from the picture's.
    """
    path = Path(path)
    header = read_header(path)
    check_size(header, shape, path)
    values = _plane(path, header)
    if values.ndim != 2:
        raise UserError(f"{path} is coloured: save one object number per pixel.")
    return shrunk((values > 0).astype(np.uint8), max_side)


def shrunk(codes: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    """Reduce [H, W] by nearest neighbour to a longer side of at most ``max_side``."""
    from PIL import Image

    height, width = codes.shape
    size = reduced((width, height), max_side)
    if size == (width, height):
        return codes
    return np.asarray(Image.fromarray(codes).resize(size, Image.Resampling.NEAREST), np.uint8)


def check_size(header: Header, shape: Sequence[int], path: Path) -> None:
    """Check that a mask has the size of its picture.

    Raises:
        UserError: if the sizes differ.
    """
    *pages, height, width = shape
    depth = pages[0] if pages else 1
    if (header.height, header.width) != (height, width):
        raise UserError(
            f"{path} has {header.height} x {header.width} pixels but its picture has "
            f"{height} x {width}: export the mask at the picture's size."
        )
    if header.pages != depth:
        raise UserError(
            f"{path} has {header.pages} pages but its image has {depth}: save one mask per page."
        )


def colours_of(paths: Sequence[Path], palettes: bool = False) -> tuple[int, ...] | None:
    """The colours (0xRRGGBB) of all masks, sorted; None if every mask is grey.

    Palettes count as colours only with ``palettes``; otherwise their indices are class codes. JPEG
    masks are skipped, because their colours are not exact. Pixels are read only if a header indicates
    colours.

    Raises:
        UserError: for a mask with more than 64 colours.
    """
    headers = {}
    for path in paths:
        with contextlib.suppress(UserError):  # raised again when the mask is read
            headers[path] = read_header(path)
    exact = [path for path, header in headers.items() if not header.lossy and header.pages == 1]
    promising = [
        path
        for path in exact
        if headers[path].tiff is None
        and (headers[path].coloured or (palettes and headers[path].palette))
    ]
    if not any(_is_coloured(picture) for path in promising if (picture := _readable(path))):
        return None
    found: set[int] = set()
    for path in exact:
        picture = _readable(path)
        if picture is None:
            continue
        colours = picture.convert("RGB").getcolors(MOST_COLOURS)
        for _, colour in colours or ():
            red, green, blue = cast(tuple[int, int, int], colour)
            found.add((red << 16) | (green << 8) | blue)
        if colours is None or len(found) > MOST_COLOURS:
            raise UserError(
                f"{path} is a coloured mask with more colours than the {MOST_COLOURS} possible classes: "
                "save masks as PNG without smoothing (anti-aliasing)."
            )
    return tuple(sorted(found))


def _readable(path: Path) -> "Picture | None":
    """The picture; None if it cannot be read, which is reported when the mask is read."""
    try:
        return load(path)
    except UserError:
        return None


def palette_of(path: Path) -> dict[int, str]:
    """Class code -> ``#rrggbb`` from the palette of a mask; {} if it has none.

    Raises:
        UserError: for an unreadable mask.
    """
    if not read_header(path).palette:
        return {}
    picture = load(path)
    colours = np.array(picture.getpalette("RGB") or [], np.int64).reshape(-1, 3)[: LARGEST_CODE + 1]
    if (colours == colours[:, :1]).all():  # a palette of greys, such as black and white
        return {}
    packed = (colours << np.array([16, 8, 0])).sum(axis=1).tolist()
    return {index: hexadecimal(colour) for index, colour in enumerate(packed) if index and colour}


def _is_coloured(picture: "Picture") -> bool:
    pixels = np.asarray(picture.convert("RGB"))
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max(initial=0)) > SPREAD


def _plane(path: Path, header: Header) -> NDArray[Any]:
    """[H, W] as stored, or [H, W, S] of a mask with several channels."""
    if header.tiff is None:
        return _stored(np.asarray(load(path)), header)
    pixels = read_pages(path, stored=True)[0]
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def _rgb(path: Path, header: Header) -> NDArray[np.uint8]:
    """[H, W, 3] of a mask of colours."""
    if header.tiff is not None:
        raise UserError(
            f"{path} is a stack or has more than 8 bits, so its values are not colours: save each mask "
            "as an 8-bit picture."
        )
    picture = load(path)
    _check_opaque(np.asarray(picture), picture, path)
    return np.asarray(picture.convert("RGB"))


def _stored(values: NDArray[Any], header: Header) -> NDArray[Any]:
    """Grey values as the file stores them, if Pillow has inverted them ('white is zero')."""
    if not header.inverted:
        return values
    return ~values if values.dtype.kind == "b" else 255 - values


def _unspread(values: NDArray[Any], header: Header) -> NDArray[Any]:
    """Codes of 2 or 4 bits, which Pillow spreads over 0 to 255; black and white stay as they are."""
    if header.bits not in (2, 4) or set(np.unique(values).tolist()) <= {0, 255}:
        return values
    return values // (255 // (2**header.bits - 1))


def _grey(path: Path, header: Header, levels: bool = False) -> NDArray[Any]:
    """[H, W] or [D, H, W] of a mask with equal channels; for a palette, its indices.

    Values are those that the file stores, with one exception: ``levels`` leaves grey levels of 2 or
    4 bits spread over 0 to 255, because the user has named them.
    """
    if header.tiff is not None:
        if header.channels > 1:
            raise _coloured(path)
        pages = read_pages(path, stored=True)[..., 0]
        if pages.dtype == np.uint8 and not levels:
            pages = _unspread(pages, header)
        return pages if header.pages > 1 else pages[0]
    picture = load(path)
    if picture.mode == "P":
        # A palette of two greys is black and white in any order; others only colour the codes.
        indices = np.asarray(picture)
        colours = np.asarray(picture.convert("RGB"))
        two = len(np.unique(indices)) <= 2
        if two and bool((colours == colours[..., :1]).all()) and colours.max() >= 128:
            return colours[..., 0]
        return indices
    array = np.asarray(picture)
    if array.ndim == 2:
        array = _stored(array, header)
        return array if levels else _unspread(array, header)
    array = _check_opaque(array, picture, path)
    spread = array.max(axis=2).astype(int) - array.min(axis=2)
    if spread.max() > SPREAD:
        if header.lossy:
            raise UserError(
                f"{path} is a coloured JPEG, whose colours are not exact: save masks as PNG."
            )
        raise _coloured(path)
    first: NDArray[Any] = array[..., 0]
    return first


def _coloured(path: Path) -> UserError:
    return UserError(
        f"{path} is a coloured mask (its channels differ): name its colours, for example --classes "
        "'#ff0000=polyp,#00ff00=tool', or save class codes 0, 1, 2, ... in one channel."
    )


def _check_opaque(array: NDArray[Any], picture: "Picture", path: Path) -> NDArray[Any]:
    """The channels without transparency, which must be constant."""
    if picture.getbands()[-1] not in ("A", "a"):
        return array
    if array[..., -1].min() != array[..., -1].max():
        raise UserError(f"{path} is a transparent mask: save it in black and white.")
    return array[..., :-1]
