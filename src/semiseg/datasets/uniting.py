"""One label from several masks of an image."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import IGNORE_INDEX
from semiseg.datasets.base import Naming
from semiseg.errors import UserError
from semiseg.formats.mask_values import LARGEST_CODE
from semiseg.text import plural

# Remarks of an image; a class follows the first two.
UNNAMED, HIDDEN, OVERLAPPING = "unnamed ", "hidden ", "overlapping"
TWICE = 0.5  # intersection over union above which two masks are two drawings of one structure


@dataclasses.dataclass(frozen=True)
class United:
    """The label of all masks.

    Attributes:
        codes: class codes.
        overlapping: whether masks of different classes overlap.
        hidden: classes that others cover completely.
        unnamed: names of masks without a class, which became background.
    """

    codes: NDArray[np.uint8]
    overlapping: bool
    hidden: tuple[str, ...]
    unnamed: tuple[str, ...]

    def remarks(self, image: str) -> dict[str, str]:
        """Remarks for `notes_on_overlaps`.

        Args:
            image: the image, for the notes.
        """
        found = {UNNAMED + name: image for name in self.unnamed}
        found |= {HIDDEN + name: image for name in self.hidden}
        return found | ({OVERLAPPING: image} if self.overlapping else {})


def notes_on_overlaps(
    remarks: Mapping[str, Sequence[str]], classes: Sequence[str] | None, noun: str
) -> list[str]:
    """Notes about images in which masks of several classes overlap.

    Args:
        remarks: the remarks of all images.
        classes: names, background first.
        noun: what the images are called.
    """
    if OVERLAPPING not in remarks:
        return []
    images, names = remarks[OVERLAPPING], list((classes or ())[1:])
    order = " < ".join(names[:5]) + (" < ..." if len(names) > 5 else "")
    notes = [
        f"in {plural(len(images), noun)} masks of several classes overlap (such as {images[0]}): later "
        f"classes cover earlier ones ({order}; --classes changes the order)."
    ]
    for remark in sorted(remarks):
        if remark.startswith(HIDDEN):
            where = remarks[remark]
            notes.append(
                f"'{remark.removeprefix(HIDDEN)}' is completely covered by other classes in "
                f"{plural(len(where), noun)} (such as {where[0]}): put it later in --classes to keep it."
            )
    return notes


def united(
    masks: Sequence[tuple[str, Path]],
    read: Callable[[Path], NDArray[np.uint8]],
    classes: tuple[str, ...] | None,
    naming: Naming,
    image: Path,
) -> United:
    """Read the masks of an image and unite those of each class; later classes cover earlier ones.

    Args:
        masks: class name and file of each mask; the name is empty if there is only one class.
        read: returns the codes of a mask, all of the same shape.
        classes: names, background first; None for masks without names.
        naming: the meaning of the values; ignored pixels keep theirs.
        image: the image, for errors.

    Raises:
        UserError: for a mask of several codes, masks without names whose codes differ, or two masks of
            a class that mark nearly the same pixels.
    """
    names = ("", *(classes or ())[1:])
    lower = {name.lower(): code for code, name in enumerate(names)}
    order = sorted(masks, key=lambda mask: (lower.get(mask[0].lower(), 0), mask))
    codes: NDArray[np.uint8] | None = None
    ignored: NDArray[np.bool_] | None = None
    counts = Counter(name for name, _ in masks)
    drawn = {name: Drawn() for name, count in counts.items() if count > 1}
    overlapping, unnamed, drawn_codes, value = False, [], set[int](), 0
    for name, path in order:
        values = read(path)
        foreground, void, own = foreground_of(values, naming, path, name, len(masks))
        codes = np.zeros(values.shape, np.uint8) if codes is None else codes
        ignored = void if ignored is None else ignored | void
        if name and name.lower() not in lower:
            unnamed.append(name)
            continue
        if not name:
            if value and own and own != value:
                raise UserError(
                    f"{path} holds the code {own} but another mask of {image.name} holds {value}: number "
                    "all masks of a class alike, or put the masks of each class into a folder of its name."
                )
            value = own or value
        if name in drawn:
            drawn[name].add(path, foreground)
        code = lower[name.lower()] if name else own
        overlapping |= bool(name) and bool(
            ((codes[foreground] > 0) & (codes[foreground] != code)).any()
        )
        codes[foreground] = code
        if foreground.any():
            drawn_codes.add(code)
    assert codes is not None  # there is a mask
    assert ignored is not None
    mark = IGNORE_INDEX if naming.ignore_value is None else naming.ignore_value
    label = np.where(ignored & (codes == 0), np.uint8(mark), codes)
    hidden = drawn_codes - set(np.flatnonzero(np.bincount(codes.ravel())).tolist())
    return United(
        label, overlapping, tuple(names[code] for code in sorted(hidden) if code < len(names)),
        tuple(dict.fromkeys(unnamed)),
    )  # fmt: skip


def foreground_of(
    values: NDArray[np.uint8], naming: Naming, path: Path, name: str, masks: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """The foreground and the ignored pixels of the mask of one class, and its code.

    Black and white (also 0 and ``ignore_value`` alone) has the code 1.

    Raises:
        UserError: for a mask of several codes.
    """
    found = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    found = found[found > 0]
    ignore_value = naming.ignore_value
    others = found[found != ignore_value] if ignore_value is not None else found
    if not len(others) and naming.certain:
        return np.zeros(values.shape, bool), values == ignore_value, 0
    if not len(others):  # empty, or the white of black and white
        return values > 0, np.zeros(values.shape, bool), 1 if len(found) else 0
    if len(others) > 1 and masks == 1:
        raise UserError(
            f"{path} holds several values ({', '.join(map(str, others[:5]))}), but its name says that it is "
            f"a mask of '{name}': if the values number objects of one class (as in Cellpose), save them as "
            "1; if they are classes, give the mask the name of its image."
        )
    if len(others) > 1:
        raise UserError(
            f"{path} holds several class codes ({', '.join(map(str, others[:5]))}) but its image has several "
            "masks: save one structure per mask, or all structures in one file."
        )
    code = int(others[0])
    return values == code, values == ignore_value, code if code <= LARGEST_CODE else 1


class Drawn:
    """The masks of one class of an image that were read so far."""

    def __init__(self) -> None:
        self._masks: list[tuple[Path, NDArray[np.bool_]]] = []
        self._all: NDArray[np.bool_] | None = None

    def add(self, path: Path, foreground: NDArray[np.bool_]) -> None:
        """Add a mask.

        Raises:
            UserError: if it marks nearly, but not exactly, the same pixels as an earlier one.
        """
        if self._all is None:
            self._all = np.zeros(foreground.shape, bool)
        if np.count_nonzero(self._all & foreground) > TWICE * np.count_nonzero(foreground):
            for other, mask in self._masks:
                both = np.count_nonzero(mask & foreground)
                either = np.count_nonzero(mask | foreground)
                if TWICE * either < both < either:
                    raise UserError(
                        f"{other} and {path} mark nearly the same pixels, as two annotations of one "
                        "structure do: keep one of them, or choose with --labels FOLDER."
                    )
        self._masks.append((path, foreground))
        self._all |= foreground
