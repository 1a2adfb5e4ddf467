"""A folder of volumes (NIfTI, NRRD, MetaImage), of which all or some have labels.

Images and labels are in sub-folders such as ``images`` and ``labels`` (imagesTr/labelsTr, img/masks,
train/images, ...), or the names of labels end in _gt, _seg, _label or _mask. A ``dataset.json`` may
name classes and channels.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from semiseg.data.task import Intensity
from semiseg.data.volume import Volume
from semiseg.datasets.base import (
    Options,
    Scan,
    SourceCase,
    patient_of,
    split_of_parts,
    with_background,
)
from semiseg.datasets.description import NAME, channel_names, class_names, read_description
from semiseg.datasets.pairing import Found, Pair, any_of, left_over, pair_files
from semiseg.datasets.segmented import by_name, named_segments
from semiseg.errors import UserError
from semiseg.formats import is_volume, volume_format_of
from semiseg.formats.channels import read_channels


class VolumeFolder:
    """Volumes and labels."""

    name = "volumes"
    summary = (
        "volumes (NIfTI, NRRD, MHA): images/*.nii.gz and labels/*.nii.gz, "
        "or NAME.nii.gz and NAME_seg.nii.gz"
    )
    where = "anybody's own images"

    def detect(self, folder: Path) -> str | None:
        """Look for any volume below the folder."""
        first = any_of(folder, is_volume)
        return f"it holds volumes such as {first.relative_to(folder)}" if first else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """Pair images with labels by their names.

        Raises:
            UserError: for an invalid dataset.json, and as in :func:`pair_files`.
        """
        described = read_description(folder) if (folder / NAME).is_file() else {}
        return scan_volumes(
            folder,
            pair_files(folder, is_volume),
            options,
            name=str(described.get("name") or "") or None,
            classes=None if options.classes else class_names(folder, described),
            channels=max(len(channel_names(folder, described)), 1),
        )


def scan_volumes(
    folder: Path,
    found: Found,
    options: Options,
    name: str | None = None,
    classes: tuple[str, ...] | None = None,
    channels: int = 1,
    images: Callable[[Pair], tuple[Path, ...]] | None = None,
) -> Scan:
    """The scan of paired volumes and labels.

    Args:
        folder: the source.
        found: images and labels.
        options: the user's options; their classes replace ``classes``.
        name: name of the data set; default: that of the folder.
        classes: names, background first.
        channels: number of channels of each image.
        images: returns the files of a pair's channels, if there is one file per channel.
    """
    labels = [pair.label for pair in found.pairs if pair.label is not None]
    segmented = named_segments(labels, options)
    cases = []
    for pair in found.pairs:
        files = images(pair) if images else (pair.image,)
        cases.append(
            SourceCase(
                identifier=pair.identifier,
                patient=patient_of(pair.identifier, options.patient_pattern),
                has_label=pair.label is not None,
                part=pair.part,
                source=str(pair.image.relative_to(folder)),
                files=tuple(
                    file
                    for path in (*files, *(() if pair.label is None else (pair.label,)))
                    for file in _files(path)
                ),
                read=functools.partial(
                    _read,
                    files,
                    pair.label,
                    channels,
                    segmented.tables[pair.label] if segmented and pair.label else (),
                ),
            )
        )
    split, notes = split_of_parts(cases, "the names of the source's folders")
    return Scan(
        name=name or folder.resolve().name,
        cases=tuple(cases),
        classes=segmented.classes
        if segmented
        else with_background(options.classes)
        if options.classes
        else classes,
        colours=segmented.colours if segmented else {},
        kind="volumes",
        intensity=Intensity(kind="percentile", low=0.5, high=99.5),
        by_data=True,
        split=split,
        notes=(*notes, *left_over(folder, found, found.pairs)),
    )


def _files(path: Path) -> tuple[Path, ...]:
    """All files of a volume; only ``path`` if it names others wrongly, as reading then reports it."""
    try:
        return volume_format_of(path).files(path)
    except UserError:
        return (path,)


def _read(
    images: Sequence[Path], label: Path | None, channels: int, table: Sequence[tuple[int, int]]
) -> Volume:
    """Read a case, with its label in class codes."""
    if len(images) > 1:
        image = read_channels(images)
    else:
        image = volume_format_of(images[0]).read_image(images[0], channels)
    volume = labelled(image, label)
    return by_name(volume, table, label) if label is not None and table else volume


def read_pair(pair: Pair, channels: int) -> Volume:
    """Read an image and its label, which must be on the same grid.

    Raises:
        UserError: for an unreadable file or another grid.
    """
    return labelled(volume_format_of(pair.image).read_image(pair.image, channels), pair.label)


def labelled(volume: Volume, label: Path | None) -> Volume:
    """``volume`` with the label in a file, if there is one.

    Raises:
        UserError: if the label is unreadable or on another grid.
    """
    if label is None:
        return volume
    return dataclasses.replace(volume, label=volume_format_of(label).read_label(label, volume))
