"""Interpretation of the values of masks: class codes, black and white, or colours."""

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
    """A mask and its encoding in the file.

    Attributes:
        codes: [H, W] (stacks: [D, H, W]) uint8 class codes of the file, or those of its colours.
        encoding: ``codes``: class codes; ``binary``: two values; ``lossy``: two values with grey
            edges, thresholded at 128; ``colours``; ``empty``: background only.
        unnamed: colours (#rrggbb) without a class, which became background.
        inverted: the file calls white zero, but its values were taken as they are stored.
        white: of a mask of exactly two values, the higher one.
        outlined: of a mask that was reduced, whether it was thin closed lines before.
    """

    codes: NDArray[np.uint8]
    encoding: Literal["empty", "codes", "binary", "lossy", "colours"]
    unnamed: tuple[str, ...] = ()
    inverted: bool = False
    white: int = 0
    outlined: bool = False


@dataclasses.dataclass(frozen=True)
class MaskValues:
    """The meaning of the values of masks.

    255 is ignored in a mask that also contains class codes. In a mask of only 0 and 255 it is the
    foreground, unless ``certain`` is set or ``known`` is not empty.

    Attributes:
        known: values that the user has named as class codes.
        ignore_value: the value of ignored pixels, or None.
        certain: the user has given ``ignore_value``: it also applies to masks of two values.
        colours: 0xRRGGBB -> class code (or ``IGNORE_INDEX``), for coloured masks.
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
        UserError: for a JPEG that is not black, because its colours are not exact.
    """
    wide = pixels.astype(np.int64)
    packed = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    if lossy and packed.any():
        raise UserError(
            f"{path} is a coloured JPEG, whose colours are not exact: save masks as PNG."
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
        UserError: for grey levels that are neither class codes nor two values.
    """
    if grey.size == 0:
        raise UserError(f"{path} is empty: export it again.")
    found = np.unique(grey)
    top = found[-1]
    if not np.isfinite(found).all() or found[0] < 0:
        raise UserError(
            f"{path} has values from {found[0]:g} to {found[-1]:g}, which are no class codes: save 0 to 255."
        )
    if top == 0:
        return PictureMask(np.zeros(grey.shape, np.uint8), "empty")
    present = found[found != values.ignore_value] if values.ignore_value is not None else found
    others = [value for value in present.tolist() if value not in values.known]
    # 0 and 255 alone (or 255 alone) are black and white, unless the user defines 255
    marked = bool((present != 0).any()) or values.certain or bool(values.known)
    if marked and not lossy and found[0] >= 0 and max(others, default=0) <= LARGEST_CODE:
        return PictureMask(as_codes(grey, path), "codes")
    if not lossy and top == 255 and len(found) > 1 and 0 < found[-2] <= LARGEST_CODE:
        raise UserError(
            f"{path} contains 255 in addition to class codes: define it with --classes 255=NAME or "
            "--ignore-value 255."
        )
    if top >= 128 and found[0] >= 0 and set(found.tolist()) <= {0, top}:
        return PictureMask((grey > 0).astype(np.uint8), "binary", white=int(top))
    void = values.ignore_value if values.certain and not lossy else None
    if void is not None and len(present) == 2 and present[0] == 0 and present[1] >= 128:
        # black, white, and a grey that is ignored
        return PictureMask(np.where(grey == void, void, grey > 0).astype(np.uint8), "binary")
    distance = np.minimum(np.abs(grey.astype(float)), np.abs(grey.astype(float) - 255))
    near = distance <= 32
    if top > 255 or near.mean() < 0.9:
        raise UserError(
            f"{path} has {len(found)} grey levels up to {top:g}, which are neither class codes nor "
            "black and white: save class codes 0, 1, 2, ... as PNG, or name the levels, for example "
            "--classes 128=liver,255=tumour."
        )
    codes = (grey >= 128).astype(np.uint8)
    return PictureMask(codes, "lossy" if codes.any() else "empty")
