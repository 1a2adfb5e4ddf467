"""Pictures (photographs, endoscopy, histology) and their masks."""

import dataclasses
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.data.images.values import as_codes, compact, damaged
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

LARGEST_CODE = 63  # larger values are grey levels, not class codes


def picture_channels(path: Path) -> int:
    """1 for a grey picture, 3 for a coloured one; reads the header only."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            return 1 if file.mode in ("1", "L", "LA") else 3
    except _unreadable():
        raise damaged(path, "a picture") from None


def read_picture(
    path: Path | str, channels: int | None = None, max_side: int | None = None
) -> Volume:
    """Read an 8-bit picture: image [1, C, H, W] uint8, turned as its EXIF entry says.

    Args:
        path: a PNG, JPEG, BMP or TIFF file.
        channels: 1 (grey) or 3 (RGB); None keeps what the file has. Transparency is dropped.
        max_side: a larger picture is reduced to this longer side, antialiased.

    Raises:
        UserError: for a file that is unreadable, constant, has 16 bits or several pages.
    """
    from PIL import Image

    path = Path(path)
    picture, _ = _open_picture(path)
    if picture.mode.startswith(("I", "F")):
        raise UserError(
            f"{path} has {picture.mode} pixels (more than 8 bits): convert it to 8 bits a channel, "
            "or to NIfTI to keep its range."
        )
    if channels is None:
        channels = 1 if picture.mode in ("1", "L", "LA") else 3
    picture = picture.convert("L" if channels == 1 else "RGB")
    size = _reduced(picture.size, max_side)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    array = np.asarray(picture, np.uint8)
    compact(array, path)
    if array.ndim == 2:
        array = array[..., None]
    return Volume(np.ascontiguousarray(np.moveaxis(array, 2, 0)[None]))


@dataclasses.dataclass(frozen=True)
class PictureMask:
    """A mask and how its file wrote it.

    Attributes:
        codes: [H, W] uint8 class codes.
        encoding: ``codes`` as they stood; ``binary`` two values; ``lossy`` two values with grey
            rims, cut at half; ``empty`` nothing marked.
    """

    codes: NDArray[np.uint8]
    encoding: Literal["empty", "codes", "binary", "lossy"]


def read_picture_mask(
    path: Path | str, shape: tuple[int, int] | None = None, max_side: int | None = None
) -> PictureMask:
    """Read a mask of class codes, of black and white, or of black and white with lossy rims.

    Args:
        path: the mask's file.
        shape: (height, width) that the whole mask must have: its picture's.
        max_side: a larger mask is reduced to this longer side by nearest neighbour.

    Raises:
        UserError: for an unreadable or coloured mask, another shape, or grey levels that are
            neither codes nor two values.
    """
    from PIL import Image

    path = Path(path)
    picture, file_format = _open_picture(path)
    if shape is not None:
        _check_mask_size(picture, shape, path)
    decoded = _decode(_grey(picture, path), path, lossy=file_format in ("JPEG", "MPO"))
    size = _reduced(picture.size, max_side)
    if size == picture.size:
        return decoded
    small = Image.fromarray(decoded.codes).resize(size, Image.Resampling.NEAREST)
    return PictureMask(np.asarray(small, np.uint8), decoded.encoding)


def read_instances(
    path: Path | str, shape: tuple[int, int], max_side: int | None = None
) -> NDArray[np.uint8]:
    """A mask that numbers single objects (of 8 or 16 bits) as 0 and 1: [H, W] uint8.

    Raises:
        UserError: for an unreadable or coloured mask, or another shape than the picture's.
    """
    from PIL import Image

    path = Path(path)
    picture, _ = _open_picture(path)
    _check_mask_size(picture, shape, path)
    values = np.asarray(picture)
    if values.ndim != 2:
        raise UserError(f"{path} is coloured: a mask of numbered objects has one value a pixel.")
    codes = Image.fromarray((values > 0).astype(np.uint8))
    size = _reduced(codes.size, max_side)
    return np.asarray(codes.resize(size, Image.Resampling.NEAREST), np.uint8)


def _check_mask_size(picture: "Picture", shape: tuple[int, int], path: Path) -> None:
    if picture.size != (shape[1], shape[0]):
        raise UserError(
            f"{path} has {picture.height} x {picture.width} pixels but its picture has "
            f"{shape[0]} x {shape[1]}: export the mask at the picture's size."
        )


def picture_shape(path: Path | str) -> tuple[int, int]:
    """(height, width) of a picture after its EXIF turn; reads the header only."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            width, height = file.size
            turned = file.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except _unreadable():
        raise damaged(Path(path), "a picture") from None
    return (width, height) if turned else (height, width)


def write_picture_mask(path: Path | str, mask: NDArray[np.integer[Any]], classes: int) -> None:
    """Write a mask as PNG: 0 and 255 where there are two classes, else the codes themselves.

    Args:
        path: the file to write; never seen half-written.
        mask: [H, W] or [1, H, W] class codes.
        classes: how many classes there are, with the background.

    Raises:
        UserError: where the file cannot be written.
    """
    from PIL import Image

    codes = np.asarray(mask, np.uint8).reshape(mask.shape[-2:])
    values = np.where(codes > 0, 255, 0).astype(np.uint8) if classes == 2 else codes
    with replacing(Path(path)) as partial:
        Image.fromarray(values).save(partial, format="PNG")


def _unreadable() -> tuple[type[Exception], ...]:
    """What Pillow raises for files that are damaged, or larger than any picture."""
    from PIL import Image

    return (
        OSError, SyntaxError, ValueError, TypeError, LookupError, OverflowError, EOFError, struct.error,
        zlib.error, Image.DecompressionBombError,
    )  # fmt: skip


def _open_picture(path: Path) -> tuple["Picture", str]:
    """The picture, turned as EXIF says and loaded, and its file format."""
    from PIL import Image, ImageOps

    if not path.is_file():
        raise UserError(f"{path} does not exist: check the path.")
    try:
        with Image.open(path) as file:
            file_format = file.format or ""
            pages = getattr(file, "n_frames", 1) if file_format != "MPO" else 1
            picture = ImageOps.exif_transpose(file) if pages == 1 else file
            picture.load()
    except _unreadable():
        raise damaged(path, "a picture") from None
    if pages > 1:
        raise UserError(f"{path} has {pages} pages: save each as its own picture.")
    return picture, file_format


def _grey(picture: "Picture", path: Path) -> NDArray[Any]:
    """[H, W] of a mask whose channels say the same; palette masks give their indices."""
    if picture.mode == "P":
        # Two greys are black and white in any order; other palettes only colour the codes.
        indices = np.asarray(picture)
        colours = np.asarray(picture.convert("RGB"))
        two = len(np.unique(indices)) <= 2
        if two and bool((colours == colours[..., :1]).all()) and colours.max() >= 128:
            return colours[..., 0]
        return indices
    array = np.asarray(picture)
    if array.ndim == 2:
        return array
    bands = picture.getbands()
    if bands[-1] in ("A", "a"):
        if array[..., -1].min() != array[..., -1].max():
            raise UserError(f"{path} is a transparent mask: save it in black and white.")
        array = array[..., :-1]
    spread = array.max(axis=2).astype(int) - array.min(axis=2)
    if spread.max() > 16:  # JPEG moves the channels apart by a little
        raise UserError(
            f"{path} is a coloured mask (its channels differ): save class codes 0, 1, 2, ... "
            "in one channel."
        )
    first: NDArray[Any] = array[..., 0]
    return first


def _decode(grey: NDArray[Any], path: Path, *, lossy: bool) -> PictureMask:
    if grey.size == 0:
        raise UserError(f"{path} is empty: export it again.")
    values = np.unique(grey)
    top = values[-1]
    if top == 0:
        return PictureMask(np.zeros(grey.shape, np.uint8), "empty")
    if top <= LARGEST_CODE and not lossy and values[0] >= 0:
        return PictureMask(as_codes(grey, path), "codes")
    if top >= 128 and values[0] >= 0 and set(values.tolist()) <= {0, top}:
        return PictureMask((grey > 0).astype(np.uint8), "binary")
    near = np.minimum(np.abs(grey.astype(float)), np.abs(grey.astype(float) - 255)) <= 32
    if top > 255 or near.mean() < 0.9:
        raise UserError(
            f"{path} holds {len(values)} grey levels up to {top:g} and is neither class codes nor "
            "black and white: save class codes 0, 1, 2, ... as PNG."
        )
    codes = (grey >= 128).astype(np.uint8)
    return PictureMask(codes, "lossy" if codes.any() else "empty")


def _reduced(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    if max_side is None or max(size) <= max_side:
        return size
    scale = max_side / max(size)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)
