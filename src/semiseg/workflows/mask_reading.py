"""Reading of predicted and of reference masks with the same classes."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.console import Console
from semiseg.datasets.base import Naming
from semiseg.datasets.naming import own_codes
from semiseg.datasets.uniting import united
from semiseg.errors import UserError
from semiseg.evaluation.classes import Classes, codes_in, foreground
from semiseg.formats import format_of, is_image, is_picture, suffixes_of
from semiseg.formats.base import Mask
from semiseg.formats.mask_values import USUAL, MaskValues
from semiseg.formats.masks import read_picture_mask
from semiseg.text import listed, times


def read_mask(path: Path, values: MaskValues = USUAL) -> Mask:
    """Read a mask from a file of any format.

    Args:
        path: the file.
        values: the meaning of the values in a picture.

    Raises:
        UserError: if the file is unreadable or contains no class codes.
    """
    if not is_image(path):
        known = ", ".join(suffixes_of("volume"))
        raise UserError(f"{path} is not a mask of a supported format: use {known}, HDF5 or PNG.")
    return format_of(path).read_mask(path, values)


def are_class_codes(
    predictions: Sequence[Path], naming: Naming, classes: Classes | None, console: Console
) -> bool:
    """Whether predicted masks contain class codes 1, 2, ... instead of the values of the references.

    All masks are looked at, since a single one may fit both.
    """
    if naming.codes is None or classes is None:
        return naming.colours is None
    values = values_of(naming, classes)
    named, numbers = set(naming.codes), set(foreground(classes))
    source = number = True
    seen: set[int] = set()
    for path in predictions:
        plain = _codes_of(path, USUAL)
        # the values of volumes have one meaning
        valued = _codes_of(path, values) if is_picture(path) else plain
        if plain is None and valued is None:
            continue  # unreadable, which is reported when it is scored
        seen |= plain or set()
        number = number and plain is not None and plain <= numbers
        source = source and valued is not None and valued <= named
    if source and number and any(naming.codes[value] != value for value in seen & named):
        console.warn(
            "the masks fit the values of the references and the class codes 1, 2, ...: they are read as "
            "values of the references"
        )
    return not source


def _codes_of(path: Path, values: MaskValues) -> set[int] | None:
    """The codes in a mask; None if it cannot be read so."""
    try:
        return set(codes_in(read_mask(path, values).codes)) - {0}
    except UserError:
        return None


def values_of(naming: Naming, classes: Classes | None) -> MaskValues:
    """The meaning of the values of pictures."""
    several = classes is not None and len(foreground(classes)) > 1
    return MaskValues(tuple(naming.codes or ()), naming.ignore_value, several, naming.colours)


def read_prediction(path: Path, values: MaskValues, naming: Naming, class_codes: bool) -> Mask:
    """Read a predicted mask, in the values or colours of the references, or in class codes 1, 2, ...

    Raises:
        UserError: if it is unreadable, or has a colour that is no class.
    """
    if naming.colours is not None and is_picture(path):
        with contextlib.suppress(UserError):  # of a mask whose channels differ
            return read_mask(path)
        unnamed = read_picture_mask(path, values=values).unnamed
        if unnamed:
            raise UserError(
                f"{path} has colours without a class ({listed(unnamed)}): name them with --classes."
            )
        return read_mask(path, values)
    if naming.codes is None or class_codes:
        return read_mask(path)
    mask = read_mask(path, values)
    codes, _ = own_codes(mask.codes, naming.codes, None, str(path))
    return dataclasses.replace(mask, codes=codes)


def read_united(paths: Sequence[Path], values: MaskValues, naming: Naming) -> Mask:
    """Read a mask, or unite several masks of one class.

    Raises:
        UserError: if a file is unreadable, or if they have several codes or other shapes.
    """
    first = read_mask(paths[0], values)
    if len(paths) == 1:
        return first

    def read(path: Path) -> NDArray[np.uint8]:
        mask = read_mask(path, values)
        if mask.shape != first.shape:
            raise UserError(
                f"{path} has shape {times(mask.shape)}, but {paths[0]} of the same image has shape "
                f"{times(first.shape)}: save both on the grid of the image."
            )
        return mask.codes

    found = united([("", path) for path in paths], read, None, naming, paths[0])
    return dataclasses.replace(first, codes=found.codes)
