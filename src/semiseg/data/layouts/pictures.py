"""A folder of pictures (photographs, endoscopy, histology) and masks.

Sub-folders ``images`` and ``masks`` (and their kin) with the same names, or one tree in which masks
end in _mask, _seg, _segmentation or _label.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from semiseg.data.images.names import PICTURE_SUFFIXES
from semiseg.data.images.pictures import (
    picture_channels,
    picture_shape,
    read_instances,
    read_picture,
    read_picture_mask,
)
from semiseg.data.layouts.base import (
    Options,
    Scan,
    SourceCase,
    patient_of,
    split_of_parts,
    with_background,
)
from semiseg.data.layouts.pairing import Found, Pair, any_with, left_over, pair_files
from semiseg.data.task import Intensity
from semiseg.data.volume import Volume
from semiseg.errors import UserError


class PictureFolder:
    """Pictures beside masks."""

    name = "pictures"
    summary = "pictures: images/*.jpg beside masks/*.png, or NAME.jpg beside NAME_mask.png"
    where = "anybody's own pictures"

    def detect(self, folder: Path) -> str | None:
        """Any picture below the folder."""
        first = any_with(folder, PICTURE_SUFFIXES)
        return f"it holds pictures such as {first.relative_to(folder)}" if first else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """Pair pictures with masks by their names; reads the pictures' headers for their channels.

        Raises:
            UserError: for an unreadable picture, and as :func:`pair_files`.
        """
        found = pair_files(folder, PICTURE_SUFFIXES)
        return scan_pictures(folder, found, options, folder.resolve().name)


def scan_pictures(
    folder: Path,
    found: Found,
    options: Options,
    name: str,
    classes: tuple[str, ...] | None = None,
    parts: tuple[float, float, float] = (0.7, 0.1, 0.2),
    instances: bool = False,
) -> Scan:
    """The cases of pictures and masks that have been paired.

    Args:
        folder: the source.
        found: pictures and masks.
        options: as a person gives them; their classes come before ``classes``.
        name: of the data set.
        classes: names, without the background.
        parts: of a drawn split.
        instances: masks number single objects: every value above 0 is the one class.

    Raises:
        UserError: for an unreadable picture.
    """
    if options.max_side < 1:
        raise UserError(f"--max-side {options.max_side}: give a number of pixels such as 512.")
    channels = {pair.image: picture_channels(pair.image) for pair in found.pairs}
    kinds = set(channels.values())
    notes = []
    if len(kinds) > 1:
        grey = sum(count == 1 for count in channels.values())
        notes.append(f"{grey:,} of {len(channels):,} pictures are grey: all are stored as RGB.")
    chosen = options.classes or classes
    named = with_background(chosen) if chosen else None
    masks = MaskReader(folder, named, options.max_side, instances)
    cases = tuple(
        SourceCase(
            identifier=pair.identifier,
            # A name tells a picture's patient only where somebody says how.
            patient=patient_of(pair.identifier, options.patient_pattern or ".+"),
            has_label=pair.label is not None,
            part=pair.part,
            source=str(pair.image.relative_to(folder)),
            files=pair.files,
            read=functools.partial(masks.read, pair, max(kinds, default=3)),
        )
        for pair in found.pairs
    )
    split, moved = split_of_parts(cases, "the names of the source's folders")
    return Scan(
        name=name,
        cases=cases,
        classes=named,
        kind="pictures",
        intensity=Intensity(kind="window", low=0.0, high=255.0),
        split=split,
        parts=parts,
        notes=(*notes, *moved, *left_over(folder, found, found.pairs)),
        afterwards=masks.notes,
    )


class MaskReader:
    """Reads pictures and masks, and remarks how the masks were written."""

    def __init__(
        self,
        folder: Path,
        classes: tuple[str, ...] | None,
        max_side: int,
        instances: bool = False,
    ) -> None:
        """``classes`` where they are known, background first; ``instances``: see `scan_pictures`."""
        self.folder = folder
        self.classes = classes
        self.instances = instances
        self.max_side = max_side

    def read(self, pair: Pair, channels: int) -> Volume:
        """The picture and its mask.

        Raises:
            UserError: naming the file that does not fit.
        """
        volume = read_picture(pair.image, channels, self.max_side)
        shape = picture_shape(pair.image)
        remarks: dict[str, str] = {}
        if max(shape) > self.max_side:
            remarks["reduced"] = self._name(pair.image)
        volume = dataclasses.replace(volume, remarks=remarks)
        if pair.label is None:
            return volume
        if self.instances:
            codes = read_instances(pair.label, shape, self.max_side)
            return dataclasses.replace(volume, label=codes[None])
        mask = read_picture_mask(pair.label, shape, self.max_side)
        if mask.encoding in ("binary", "lossy"):
            remarks["two values"] = self._name(pair.label)
            if self.classes is not None and len(self.classes) > 2:
                raise UserError(
                    f"{pair.label} is black and white though {len(self.classes) - 1} classes are "
                    "named: name one class, or save class codes 0, 1, 2, ..."
                )
        if mask.encoding == "codes" and mask.codes.max() > 1:
            remarks["many values"] = self._name(pair.label)
        if mask.encoding == "lossy":
            remarks["lossy"] = self._name(pair.label)
        return dataclasses.replace(volume, label=mask.codes[None])

    def notes(self, remarks: Mapping[str, Sequence[str]]) -> Sequence[str]:
        """What reading has shown.

        Raises:
            UserError: for two masks written in different ways.
        """
        if "two values" in remarks and "many values" in remarks:
            raise UserError(
                f"{self.folder / remarks['two values'][0]} is black and white but "
                f"{self.folder / remarks['many values'][0]} holds class codes above 1: "
                "save all masks in one way."
            )
        notes = []
        if lossy := remarks.get("lossy"):
            notes.append(
                f"{len(lossy):,} masks have grey rims (such as {Path(lossy[0]).name}): "
                "they were cut at half."
            )
        if reduced := remarks.get("reduced"):
            notes.append(
                f"{len(reduced):,} pictures were larger and are stored with a longer side of "
                f"{self.max_side} pixels (--max-side)."
            )
        return notes

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))
