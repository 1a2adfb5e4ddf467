"""What the values of labels mean: ``--classes`` with codes or colours, and ``--ignore-value``.

Labels as layouts hand them over hold the source's codes; here they become the set's own, with
``IGNORE_INDEX`` where a voxel is ignored.
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
    """Class names (background first, or None) and what the labels' values mean.

    Args:
        classes: names, ``CODE=NAME`` each, or ``#rrggbb=NAME`` each.
        ignore_value: a value from 1 to 255, a colour ``#rrggbb``, 'none', or None: 255, unless it is the
            code of a class.

    Raises:
        UserError: for words that are none of these, or contradict each other.
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
                f"--ignore-value {word} is a class of --classes too: take one of them away."
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
        raise UserError(
            f"--ignore-value {word} is a class of --classes too: take one of them away."
        )
    return names, Naming(codes, colours, int(word), certain=True)


def named_colours(words: Sequence[str]) -> tuple[tuple[str, ...], dict[int, int]]:
    """``["#ff0000=polyp", "#00ff00=tool"]`` -> names with the background first, and colour -> code.

    Colours of the same name become one class; the name ``background`` is the background. Black is
    background unless it is named.

    Raises:
        UserError: if a word is no colour and name, or a colour stands twice.
    """
    names: list[str] = []
    table: dict[int, int] = {}
    for word in words:
        colour, _, name = (part.strip() for part in word.partition("="))
        if not (COLOUR.fullmatch(colour) and name) or int(colour[1:], 16) in table:
            raise UserError(
                f"--classes '{word}': write every class as #RRGGBB=NAME, each colour once, such as "
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
    """A label in the set's own codes, and the source's codes that no class names.

    Args:
        label: [D, H, W] in the source's codes.
        codes: source code -> class code, or None where they are the same.
        ignore_value: the source's value of ignored pixels.
        source: the image, for messages.

    Raises:
        UserError: if 255 would be a class code of the set.
    """
    found = np.flatnonzero(np.bincount(label.ravel(), minlength=256)).tolist()
    if codes is None:
        if ignore_value == IGNORE_INDEX or not {ignore_value, IGNORE_INDEX} & set(found):
            return label, set()
        if IGNORE_INDEX in found:
            raise UserError(
                f"The label of {source} holds class code 255, which is kept for ignored pixels: name "
                "it, such as --classes 255=NAME."
            )
        return np.where(label == ignore_value, np.uint8(IGNORE_INDEX), label), set()
    table = np.zeros(256, np.uint8)
    if ignore_value is not None:
        table[ignore_value] = IGNORE_INDEX
    for value, code in codes.items():
        table[value] = code
    return table[label], {code for code in found if code and not table[code]}


def without_empty_slices(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[D, H, W] in which slices that hold no structure are ignored."""
    empty = ~((label != 0) & (label != IGNORE_INDEX)).any(axis=(1, 2))
    return np.where(empty[:, None, None], np.uint8(IGNORE_INDEX), label)


def slices_without_labels(label: NDArray[np.uint8]) -> tuple[int, ...]:
    """The slices of [D, H, W] that are ignored everywhere."""
    return tuple(np.flatnonzero((label == IGNORE_INDEX).all(axis=(1, 2))).tolist())


def notes_on_ignored(counts: NDArray[np.int64], slices: int, pictures: bool) -> list[str]:
    """What a person should know of ignored pixels.

    Args:
        counts: [256] pixels of each code, over all labels.
        slices: how many slices of labelled volumes hold no label.
        pictures: whether the images are pictures.
    """
    notes = []
    if counts[IGNORE_INDEX]:
        share = 100 * counts[IGNORE_INDEX] / counts.sum()
        notes.append(
            f"{share:.3g}% of the labelled {'pixels' if pictures else 'voxels'} are ignored: they "
            "count in no loss and no metric."
        )
    if slices:
        notes.append(
            f"{slices:,} slices of labelled volumes hold no label and serve as unlabelled images."
        )
    return notes
