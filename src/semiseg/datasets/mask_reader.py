"""Reading pictures with their masks, and remarks on the encoding of the masks."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.datasets.base import Naming
from semiseg.datasets.mask_images import (
    check_masks_among_images,
    kind_remark,
    note_on_masks_as_images,
)
from semiseg.datasets.pairs import Pair
from semiseg.datasets.uniting import UNNAMED, foreground_of, notes_on_overlaps, united
from semiseg.errors import UserError
from semiseg.formats.header import Header
from semiseg.formats.mask_values import MaskValues
from semiseg.formats.masks import read_instances, read_picture_mask
from semiseg.formats.pictures import read_picture
from semiseg.formats.remarks import OUTLINED, STORED_POLARITY
from semiseg.text import plural

# Prefixes of remarks that a picture may have several of: a grey level follows the second.
LOSSY = "lossy"
WHITE = "white is "


class MaskReader:
    """Reads pictures and masks, with remarks on the encoding of the masks."""

    def __init__(
        self,
        folder: Path,
        classes: tuple[str, ...] | None,
        max_side: int,
        instances: bool = False,
        naming: Naming = Naming(),  # noqa: B008 - frozen
        spacing: tuple[float, float, float] | None = None,
    ) -> None:
        """Set the options of the files.

        Args:
            folder: the source.
            classes: names, background first; None if unknown.
            max_side: see `Options`.
            instances: see `scan_pictures`.
            naming: definition of the values in masks.
            spacing: (slice, row, column) in mm of the files, before large pictures are reduced.
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
        """Read a picture and its mask.

        Raises:
            UserError: for a file that is unreadable or does not match the other one.
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
        remarks = dict(volume.remarks)
        if header.pages == 1 and max(shape) > self.max_side:
            remarks["reduced"] = self._name(pair.image)
        remarks |= kind_remark(volume.image, pair, self._name(pair.image))
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
        if mask.inverted:
            remarks[STORED_POLARITY] = self._name(path)
        if mask.encoding in ("binary", "lossy"):
            self._two_values(path, remarks)
        if mask.white:
            remarks[f"{WHITE}{mask.white}"] = self._name(path)
        if mask.encoding == "codes" and mask.codes.max() > 1:
            remarks["many values"] = self._name(path)
        if mask.encoding == "lossy":
            remarks[LOSSY] = self._name(path)
        if mask.outlined:
            remarks[OUTLINED] = self._name(path)
        return mask.codes

    def _by_class(
        self, pair: Pair, shape: tuple[int, ...], remarks: dict[str, str]
    ) -> NDArray[np.uint8]:
        """Unite several masks; later classes cover earlier ones."""
        encodings: dict[str, Path] = {}

        def read(path: Path) -> NDArray[np.uint8]:
            mask = read_picture_mask(path, shape, self.max_side, self.values)
            encodings.setdefault(mask.encoding, path)
            if mask.inverted:
                remarks[STORED_POLARITY] = self._name(path)
            if mask.outlined:
                remarks[OUTLINED] = self._name(path)
            return mask.codes

        result = united(pair.classes, read, self.classes, self.naming, pair.image)
        remarks |= result.remarks(self._name(pair.image))
        if "lossy" in encodings:
            remarks[LOSSY] = self._name(encodings["lossy"])
        if not pair.classes[0][0]:
            for encoding in ("binary", "lossy"):
                if encoding in encodings:
                    self._two_values(encodings[encoding], remarks)
        return result.codes

    def masks_of(self, pair: Pair, header: Header) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """The name and the foreground [H, W] or [D, H, W] of each named mask of a picture.

        Raises:
            UserError: for a mask that cannot be read.
        """
        shape = (header.height, header.width)
        whole = shape if header.pages == 1 else (header.pages, *shape)
        for name, path in pair.classes:
            codes = read_picture_mask(path, whole, self.max_side, self.values).codes
            yield name, foreground_of(codes, self.naming, path, name, len(pair.classes))[0]

    def _two_values(self, path: Path, remarks: dict[str, str]) -> None:
        """Remark that a mask is black and white.

        Raises:
            UserError: if several classes are named.
        """
        remarks["two values"] = self._name(path)
        if self.classes is not None and len(self.classes) > 2:
            raise UserError(
                f"{path} is black and white but {len(self.classes) - 1} classes are named: name one "
                "class, or save class codes 0, 1, 2, ... (if 255 marks ignored pixels: "
                "--ignore-value 255)."
            )

    def notes(self, remarks: Mapping[str, Sequence[str]]) -> Sequence[str]:
        """Notes about the remarks of all pictures.

        Raises:
            UserError: if masks have contradictory encodings.
        """
        if "two values" in remarks and "many values" in remarks:
            raise UserError(
                f"{self.folder / remarks['two values'][0]} is black and white but "
                f"{self.folder / remarks['many values'][0]} holds class codes above 1: save all masks in "
                "the same way, or use --ignore-value 255 if 255 marks ignored pixels."
            )
        check_masks_among_images(remarks, self.folder)
        whites = sorted(int(w.removeprefix(WHITE)) for w in remarks if w.startswith(WHITE))
        if len(whites) > 1 and self.values.ignore_value not in whites[:-1]:
            first, last = (self.folder / remarks[f"{WHITE}{whites[i]}"][0] for i in (0, -1))
            raise UserError(
                f"{first} holds 0 and {whites[0]}, but {last} holds 0 and {whites[-1]}: if these are "
                f"different structures, name them, for example --classes {whites[0]}=NAME,{whites[-1]}=NAME; "
                "otherwise save all masks with the same values."
            )
        notes = note_on_masks_as_images(remarks)
        lossy = [
            file for word, files in remarks.items() if word.startswith(LOSSY) for file in files
        ]
        if lossy:
            notes.append(
                f"{len(lossy):,} masks have grey edges (such as {Path(lossy[0]).name}): "
                "they were thresholded at 128."
            )
        notes += notes_on_overlaps(remarks, self.classes, "picture")
        unnamed = sorted(w.removeprefix(UNNAMED) for w in remarks if w.startswith(UNNAMED))
        if unnamed:
            what = "colours" if self.values.colours is not None else "masks"
            notes.append(f"{what} without a class count as background: {', '.join(unnamed)}.")
        if outlined := remarks.get(OUTLINED):
            notes.append(
                f"{plural(len(outlined), 'mask')} (such as {Path(outlined[0]).name}) "
                f"{'is' if len(outlined) == 1 else 'are'} thin closed lines, which break in the reduction of "
                "their pictures: if outlines were drawn, fill them."
            )
        if reduced := remarks.get("reduced"):
            notes.append(
                f"{len(reduced):,} pictures were reduced to a longer side of {self.max_side} pixels "
                "(--max-side)."
            )
        return notes

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))
