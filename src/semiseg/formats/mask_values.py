"""What the values of masks mean: class codes, black and white, or colours."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError
from semiseg.formats.values import as_codes

LARGEST_CODE = 63  # larger values are grey levels, not class codes


@dataclasses.dataclass(frozen=True)
class PictureMask:
    """A mask and how its file wrote it.

    Attributes:
        codes: [H, W] (of a stack [D, H, W]) uint8 class codes, as the file has them, or those of the
            colours.
        encoding: ``codes`` as they stood; ``binary`` two values; ``lossy`` two values with grey
            rims, cut at half; ``colours``; ``empty`` nothing marked.
        unnamed: colours (#rrggbb) that are no class and became background.
    """

    codes: NDArray[np.uint8]
    encoding: Literal["empty", "codes", "binary", "lossy", "colours"]
    unnamed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class MaskValues:
    """What the values of masks mean.

    255 in a mask that also holds class codes is ignored; in a mask of 0 and 255 alone it is the
    foreground, unless ``certain``, or codes are ``known``.

    Attributes:
        known: values that a person has named, so that masks hold codes.
        ignore_value: the value of ignored pixels, or None.
        certain: a person has said so: it is that in a mask of two values too.
        colours: 0xRRGGBB -> class code (or ``IGNORE_INDEX``): masks are coloured.
    """

    known: Collection[int] = ()
    ignore_value: int | None = IGNORE_INDEX
    certain: bool = False
    colours: Mapping[int, int] | None = None


USUAL = MaskValues()


def hexadecimal(colour: int) -> str:
    """0xRRGGBB -> ``#rrggbb``."""
    return f"#{colour:06x}"


def codes_of_colours(
    pixels: NDArray[np.uint8], colours: Mapping[int, int], path: Path, lossy: bool
) -> PictureMask:
    """The class codes of pixels [H, W, 3]; colours without a class become background.

    Raises:
        UserError: for a JPEG that is not black, whose colours are no longer exact.
    """
    wide = pixels.astype(np.int64)
    packed = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    if lossy and packed.any():
        raise UserError(
            f"{path} is a coloured JPEG, whose colours are no longer exact: save masks as PNG."
        )
    keys = np.array(sorted(colours), np.int64)
    codes = np.array([colours[int(key)] for key in keys], np.uint8)
    place = np.searchsorted(keys, packed).clip(max=len(keys) - 1)
    known = keys[place] == packed
    others = np.unique(packed[~known & (packed != 0)])
    mask = np.where(known, codes[place], 0).astype(np.uint8)
    return PictureMask(
        mask, "colours" if mask.any() else "empty", tuple(hexadecimal(int(c)) for c in others[:9])
    )


def codes_of_greys(grey: NDArray[Any], path: Path, lossy: bool, values: MaskValues) -> PictureMask:
    """The class codes of grey values [H, W] or [D, H, W].

    Raises:
        UserError: for grey levels that are neither codes nor two values.
    """
    if grey.size == 0:
        raise UserError(f"{path} is empty: export it again.")
    found = np.unique(grey)
    top = found[-1]
    if top == 0:
        return PictureMask(np.zeros(grey.shape, np.uint8), "empty")
    present = found[found != values.ignore_value] if values.ignore_value is not None else found
    others = [value for value in present.tolist() if value not in values.known]
    # 0 and 255 alone (or 255 alone) are black and white, unless a person says what 255 is
    marked = bool((present != 0).any()) or values.certain or bool(values.known)
    if marked and not lossy and found[0] >= 0 and max(others, default=0) <= LARGEST_CODE:
        return PictureMask(as_codes(grey, path), "codes")
    if not lossy and top == 255 and len(found) > 1 and 0 < found[-2] <= LARGEST_CODE:
        raise UserError(
            f"{path} holds 255 beside class codes: say what it is, with --classes 255=NAME or "
            "--ignore-value 255."
        )
    if top >= 128 and found[0] >= 0 and set(found.tolist()) <= {0, top}:
        return PictureMask((grey > 0).astype(np.uint8), "binary")
    void = values.ignore_value if values.certain and not lossy else None
    if void is not None and len(present) == 2 and present[0] == 0 and present[1] >= 128:
        # black, white, and a grey that is ignored
        return PictureMask(np.where(grey == void, void, grey > 0).astype(np.uint8), "binary")
    distance = np.minimum(np.abs(grey.astype(float)), np.abs(grey.astype(float) - 255))
    near = distance <= 32
    if top > 255 or near.mean() < 0.9:
        raise UserError(
            f"{path} holds {len(found)} grey levels up to {top:g} and is neither class codes nor "
            "black and white: save class codes 0, 1, 2, ... as PNG, or name the levels, such as "
            "--classes 128=liver,255=tumour."
        )
    codes = (grey >= 128).astype(np.uint8)
    return PictureMask(codes, "lossy" if codes.any() else "empty")
