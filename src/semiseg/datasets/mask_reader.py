"""Pictures with their masks, and what a person should know of how these were written."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import IGNORE_INDEX
from semiseg.data.volume import Volume
from semiseg.datasets.base import Naming
from semiseg.datasets.pairing import Pair
from semiseg.errors import UserError
from semiseg.formats.header import Header
from semiseg.formats.mask_values import MaskValues, PictureMask
from semiseg.formats.masks import read_instances, read_picture_mask
from semiseg.formats.pictures import read_picture

# Remarks of which there may be several in one picture: a colour or class stands behind.
UNNAMED = "unnamed "
LOSSY = "lossy"


class MaskReader:
    """Reads pictures and masks, and remarks how the masks were written."""

    def __init__(
        self,
        folder: Path,
        classes: tuple[str, ...] | None,
        max_side: int,
        instances: bool = False,
        naming: Naming = Naming(),  # noqa: B008 - frozen
        spacing: tuple[float, float, float] | None = None,
    ) -> None:
        """``classes`` where they are known, background first; ``instances``: see `scan_pictures`.

        ``spacing``: (slice, row, column) in mm of the files, of which larger pictures are reduced.
        """
        self.folder = folder
        self.classes = classes
        self.instances = instances
        self.max_side = max_side
        self.naming, self.spacing = naming, spacing
        self.values = MaskValues(
            tuple(naming.codes or ()), naming.ignore_value, naming.certain, naming.colours
        )

    def read(self, pair: Pair, header: Header, channels: int) -> Volume:
        """The picture and its mask.

        Raises:
            UserError: naming the file that does not fit.
        """
        volume = read_picture(pair.image, channels, self.max_side, header)
        shape = (header.height, header.width)
        if self.spacing is not None:
            between, *steps = self.spacing
            row, column = (
                step * whole / kept
                for step, whole, kept in zip(steps, shape, volume.image.shape[2:], strict=True)
            )
            volume = dataclasses.replace(volume, spacing=(between, row, column))
        remarks: dict[str, str] = {}
        if header.pages == 1 and max(shape) > self.max_side:
            remarks["reduced"] = self._name(pair.image)
        if pair.label is None:
            return dataclasses.replace(volume, remarks=remarks)
        whole = shape if header.pages == 1 else (header.pages, *shape)
        if self.instances:
            codes = read_instances(pair.label, shape, self.max_side)
        elif pair.classes:
            codes = self._by_class(pair, whole, remarks)
        else:
            codes = self._codes(pair.label, whole, remarks)
        codes = codes.reshape(header.pages, *codes.shape[-2:])
        return dataclasses.replace(volume, label=codes, remarks=remarks)

    def _codes(
        self, path: Path, shape: tuple[int, ...], remarks: dict[str, str]
    ) -> NDArray[np.uint8]:
        mask = read_picture_mask(path, shape, self.max_side, self.values)
        remarks |= {UNNAMED + colour: self._name(path) for colour in mask.unnamed}
        if mask.encoding in ("binary", "lossy"):
            remarks["two values"] = self._name(path)
            if self.classes is not None and len(self.classes) > 2:
                raise UserError(
                    f"{path} is black and white though {len(self.classes) - 1} classes are "
                    "named: name one class, or save class codes 0, 1, 2, ... (of 0 and 255 alone: "
                    "--ignore-value 255 where 255 is ignored)."
                )
        if mask.encoding == "codes" and mask.codes.max() > 1:
            remarks["many values"] = self._name(path)
        if mask.encoding == "lossy":
            remarks[LOSSY] = self._name(path)
        return mask.codes

    def _by_class(
        self, pair: Pair, shape: tuple[int, ...], remarks: dict[str, str]
    ) -> NDArray[np.uint8]:
        """One mask a class; a later class covers an earlier one."""
        masks = dict(pair.classes)
        names = self.classes or ()
        remarks |= {
            UNNAMED + name: self._name(path) for name, path in pair.classes if name not in names
        }
        codes: NDArray[np.uint8] | None = None
        ignored: NDArray[np.bool_] | None = None
        overlap = False
        for code, name in enumerate(names):
            if name not in masks:
                continue
            mask = read_picture_mask(masks[name], shape, self.max_side, self.values)
            here = _foreground(mask, self.naming.ignore_value, masks[name])
            if mask.encoding == "lossy":
                remarks[f"{LOSSY} {name}"] = self._name(masks[name])
            hidden = mask.codes == self.naming.ignore_value
            codes = np.zeros(here.shape, np.uint8) if codes is None else codes
            ignored = hidden if ignored is None else ignored | hidden
            overlap |= bool((codes[here] > 0).any())
            codes[here] = code
        if overlap:
            remarks["overlapping"] = self._name(pair.image)
        if codes is None or ignored is None:  # its masks are of classes that nobody named
            first = read_picture_mask(pair.classes[0][1], shape, self.max_side, self.values)
            return np.zeros(first.codes.shape, np.uint8)
        value = self.naming.ignore_value if self.naming.ignore_value is not None else IGNORE_INDEX
        return np.where(ignored & (codes == 0), np.uint8(value), codes)

    def notes(self, remarks: Mapping[str, Sequence[str]]) -> Sequence[str]:
        """What reading has shown.

        Raises:
            UserError: for two masks written in different ways.
        """
        if "two values" in remarks and "many values" in remarks:
            raise UserError(
                f"{self.folder / remarks['two values'][0]} is black and white but "
                f"{self.folder / remarks['many values'][0]} holds class codes above 1: save all masks in "
                "one way, or say --ignore-value 255 where 255 is ignored."
            )
        notes = []
        lossy = [
            file for word, files in remarks.items() if word.startswith(LOSSY) for file in files
        ]
        if lossy:
            notes.append(
                f"{len(lossy):,} masks have grey rims (such as {Path(lossy[0]).name}): "
                "they were cut at half."
            )
        if overlapping := remarks.get("overlapping"):
            order = " < ".join((self.classes or ())[1:])
            notes.append(
                f"in {len(overlapping):,} pictures masks of several classes overlap (such as "
                f"{Path(overlapping[0]).name}): the later class wins ({order}; --classes orders them)."
            )
        unnamed = sorted(w.removeprefix(UNNAMED) for w in remarks if w.startswith(UNNAMED))
        if unnamed:
            what = "colours" if self.values.colours is not None else "masks"
            notes.append(f"{what} that no class names count as background: {', '.join(unnamed)}.")
        if reduced := remarks.get("reduced"):
            notes.append(
                f"{len(reduced):,} pictures were larger and are stored with a longer side of "
                f"{self.max_side} pixels (--max-side)."
            )
        return notes

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))


def _foreground(mask: PictureMask, ignore_value: int | None, path: Path) -> NDArray[np.bool_]:
    """Where the mask of one class has it.

    Raises:
        UserError: for a mask of several codes.
    """
    here = mask.codes != 0
    if ignore_value is not None:
        here &= mask.codes != ignore_value
    if len(np.unique(mask.codes[here])) > 1:
        raise UserError(
            f"{path} holds several class codes though there is one mask a class: save it in black and white."
        )
    return here
