"""Reading volumes with their labels, and remarks on them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.datasets.base import OTHER_GRID, Options, usual_notes
from semiseg.datasets.mask_images import (
    check_masks_among_images,
    kind_remark,
    note_on_masks_as_images,
)
from semiseg.datasets.pairs import Pair
from semiseg.datasets.segmented import by_name
from semiseg.datasets.uniting import UNNAMED, foreground_of, notes_on_overlaps, united
from semiseg.errors import UserError
from semiseg.formats import volume_format_of
from semiseg.formats.channels import read_channels
from semiseg.formats.grid import apart, grid_tolerance


class VolumeReader:
    """Reads the volumes of a source."""

    def __init__(
        self, folder: Path, classes: tuple[str, ...] | None, channels: int, options: Options
    ) -> None:
        """Set the options of the files.

        Args:
            folder: the source.
            classes: names, background first, if there is one mask per class.
            channels: number of channels of each image.
            options: the user's options.
        """
        self.folder, self.classes, self.channels = folder, classes, channels
        self.naming, self.trusted = options.naming, options.trust_grid is not None
        self.named = options.classes is not None and len(options.classes) > 1

    def read(self, pair: Pair, images: Sequence[Path], table: Sequence[tuple[int, int]]) -> Volume:
        """Read a case, with its label in the source's codes, or in class codes if masks are named.

        Args:
            pair: the image and its masks.
            images: the files of the image's channels.
            table: pairs (code in the label, class code), if the label names its segments.

        Raises:
            UserError: for an unreadable file, another grid, and as in `united`.
        """
        volume = self._image(images)
        name = str(pair.image.relative_to(self.folder))
        remarks = kind_remark(volume.image, pair, name)
        if pair.classes:
            volume = self._united(volume, pair, remarks, name)
        else:
            volume = labelled(volume, pair.label, self.trusted)
            if pair.label is not None and table:
                volume = by_name(volume, table, pair.label)
        return dataclasses.replace(volume, remarks={**volume.remarks, **remarks})

    def masks_of(
        self, pair: Pair, images: Sequence[Path]
    ) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """The name and the foreground [D, H, W] of each named mask of an image.

        Raises:
            UserError: for a file that cannot be read, or another grid.
        """
        volume = self._image(images)
        for name, path in pair.classes:
            label = labelled(volume, path, self.trusted).label
            assert label is not None  # there is a path
            yield name, foreground_of(label, self.naming, path, name, len(pair.classes))[0]

    def _image(self, images: Sequence[Path]) -> Volume:
        if len(images) > 1:
            return read_channels(images)
        return volume_format_of(images[0]).read_image(images[0], self.channels)

    def _united(self, volume: Volume, pair: Pair, remarks: dict[str, str], name: str) -> Volume:
        """The volume with the label of several masks."""

        def read(path: Path) -> NDArray[np.uint8]:
            one = labelled(volume, path, self.trusted)
            remarks.update(one.remarks)
            assert one.label is not None
            return one.label

        result = united(pair.classes, read, self.classes, self.naming, pair.image)
        if not pair.classes[0][0] and self.named and self.naming.codes is None:
            raise UserError(
                f"{pair.image} has several masks without names of structures, but several classes are "
                "named: name one class, or put the masks of each class into a folder of its name."
            )
        remarks |= result.remarks(name)
        return dataclasses.replace(volume, label=result.codes)

    def notes(self, remarks: Mapping[str, Sequence[str]]) -> Sequence[str]:
        """Notes about the remarks of all volumes.

        Raises:
            UserError: if a mask is among the images.
        """
        check_masks_among_images(remarks, self.folder)
        notes = note_on_masks_as_images(remarks)
        notes += notes_on_overlaps(remarks, self.classes, "image")
        unnamed = sorted(w.removeprefix(UNNAMED) for w in remarks if w.startswith(UNNAMED))
        if unnamed:
            notes.append(f"masks without a class count as background: {', '.join(unnamed)}.")
        return [*notes, *usual_notes(remarks)]


def labelled(volume: Volume, label: Path | None, trusted: bool = False) -> Volume:
    """``volume`` with the label in a file, if there is one.

    Args:
        volume: the image.
        label: the file of its label.
        trusted: whether a label of the same shape is taken to be on the image's grid, whatever its header
            says. The volume then has a remark if the header says otherwise.

    Raises:
        UserError: if the label is unreadable or on another grid.
    """
    if label is None:
        return volume
    form = volume_format_of(label)
    if not trusted:
        return dataclasses.replace(volume, label=form.read_label(label, volume))
    codes = form.read_label(label, dataclasses.replace(volume, affine=None))
    data, affine = form.load(label)
    remarks = dict(volume.remarks)
    if volume.affine is not None and not (
        apart(affine, volume.affine, data.shape) <= grid_tolerance(volume)
    ):
        remarks[OTHER_GRID] = label.name
    return dataclasses.replace(volume, label=codes, remarks=remarks)


def read_pair(pair: Pair, channels: int, trusted: bool = False) -> Volume:
    """Read an image and its label, which must be on the same grid unless it is ``trusted``.

    Raises:
        UserError: for an unreadable file or another grid.
    """
    volume = volume_format_of(pair.image).read_image(pair.image, channels)
    return labelled(volume, pair.label, trusted)
