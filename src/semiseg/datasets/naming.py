"""Meaning of the values of labels: ``--classes`` with codes or colours, and ``--ignore-value``.

Layouts return labels in the source's codes. Here they are converted to class codes, with
``IGNORE_INDEX`` for ignored voxels.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import IGNORE_INDEX
from semiseg.datasets.base import Naming, named_codes, with_background
from semiseg.errors import UserError

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def read_naming(
    classes: Sequence[str] | None, ignore_value: str | int | None
) -> tuple[tuple[str, ...] | None, Naming]:
    """Class names (background first, or None) and the meaning of the labels' values.

    Args:
        classes: each a name, ``CODE=NAME``, or ``#rrggbb=NAME``.
        ignore_value: a value from 1 to 255, a colour ``#rrggbb``, 'none', or None, which means 255
            unless it is the code of a class.

    Raises:
        UserError: for other values, or values that contradict each other.
    """
    names: tuple[str, ...] | None = None
    codes: Mapping[int, int] | None = None
    colours: Mapping[int, int] | None = None
    if classes is not None and any(word.strip().startswith("#") for word in classes):
        names, colours = named_colours(classes)
    elif classes is not None:
        names, codes = named_codes(classes)
    word = "" if ignore_value is None else str(ignore_value).strip().lower()
    if word == "none":
        return names, Naming(codes, colours, None)
    if COLOUR.fullmatch(word):
        void = int(word[1:], 16)
        if colours and void in colours:
            raise UserError(
                f"--ignore-value {word} is also a class of --classes: remove one of them."
            )
        return names, Naming(codes, colours, void=void)
    if not word:
        return names, Naming(
            codes, colours, None if IGNORE_INDEX in (codes or {}) else IGNORE_INDEX
        )
    if not (word.isdecimal() and 0 < int(word) <= 255):
        raise UserError(
            f"--ignore-value {ignore_value}: give the value of ignored pixels (1 to 255), its colour "
            "(#rrggbb), or none."
        )
    if int(word) in (codes or {}):
        raise UserError(f"--ignore-value {word} is also a class of --classes: remove one of them.")
    return names, Naming(codes, colours, int(word), certain=True)


def named_colours(words: Sequence[str]) -> tuple[tuple[str, ...], dict[int, int]]:
    """``["#ff0000=polyp", "#00ff00=tool"]`` -> names with the background first, and colour -> code.

    Colours of the same name become one class. The name ``background`` is the background. Black is
    background unless it is named.

    Raises:
        UserError: if a class is not a colour with a name, or a colour occurs twice.
    """
    names: list[str] = []
    table: dict[int, int] = {}
    for word in words:
        colour, _, name = (part.strip() for part in word.partition("="))
        if not (COLOUR.fullmatch(colour) and name) or int(colour[1:], 16) in table:
            raise UserError(
                f"--classes '{word}': write every class as #RRGGBB=NAME, each colour once, for example "
                "'#ff0000=polyp,#00ff00=tool'."
            )
        if name.lower() == "background":
            table[int(colour[1:], 16)] = 0
            continue
        if name not in names:
            names.append(name)
        table[int(colour[1:], 16)] = names.index(name) + 1
    table.setdefault(0, 0)
    return with_background(names), table


def own_codes(
    label: NDArray[np.uint8], codes: Mapping[int, int] | None, ignore_value: int | None, source: str
) -> tuple[NDArray[np.uint8], set[int]]:
    """A label converted to class codes, and the source's codes without a class.

    Args:
        label: [D, H, W] in the source's codes.
        codes: source code -> class code; None if they are the same.
        ignore_value: the source's value of ignored pixels.
        source: the image, for messages.

    Raises:
        UserError: if 255 would be a class code.
    """
    found = np.flatnonzero(np.bincount(label.ravel(), minlength=256)).tolist()
    if codes is None:
        if ignore_value == IGNORE_INDEX or not {ignore_value, IGNORE_INDEX} & set(found):
            return label, set()
        if IGNORE_INDEX in found:
            raise UserError(
                f"The label of {source} holds class code 255, which is reserved for ignored pixels: "
                "name it, for example --classes 255=NAME."
            )
        return np.where(label == ignore_value, np.uint8(IGNORE_INDEX), label), set()
    table = np.zeros(256, np.uint8)
    if ignore_value is not None:
        table[ignore_value] = IGNORE_INDEX
    for value, code in codes.items():
        table[value] = code
    return table[label], {code for code in found if code and not table[code]}


def without_empty_slices(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[D, H, W] in which slices without any structure are ignored."""
    empty = ~((label != 0) & (label != IGNORE_INDEX)).any(axis=(1, 2))
    return np.where(empty[:, None, None], np.uint8(IGNORE_INDEX), label)


def slices_without_labels(label: NDArray[np.uint8]) -> tuple[int, ...]:
    """Indices of the slices of [D, H, W] that are completely ignored."""
    return tuple(np.flatnonzero((label == IGNORE_INDEX).all(axis=(1, 2))).tolist())


def notes_on_ignored(counts: NDArray[np.int64], slices: int, pictures: bool) -> list[str]:
    """Notes about ignored pixels.

    Args:
        counts: [256] number of pixels of each code, over all labels.
        slices: number of slices of labelled volumes without a label.
        pictures: whether the images are pictures.
    """
    notes = []
    if counts[IGNORE_INDEX]:
        share = 100 * counts[IGNORE_INDEX] / counts.sum()
        notes.append(
            f"{share:.3g}% of the labelled {'pixels' if pictures else 'voxels'} are ignored: losses "
            "and metrics exclude them."
        )
    if slices:
        notes.append(
            f"{slices:,} slices of labelled volumes have no label and serve as unlabelled images."
        )
    return notes
