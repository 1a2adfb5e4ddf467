"""A folder of volumes (NIfTI, NRRD, MetaImage), of which all or some have labels.

Images and labels are in sub-folders such as ``images`` and ``labels`` (imagesTr/labelsTr, img/masks,
train/images, ...), or the names of labels end in _gt, _seg, _label or _mask. A ``dataset.json`` may
name classes and channels.
"""

import functools
from collections.abc import Callable
from pathlib import Path

from semiseg.data.task import Intensity
from semiseg.datasets.base import (
    Options,
    Scan,
    SourceCase,
    refused_case,
    split_of_parts,
    with_background,
)
from semiseg.datasets.class_names import named_masks
from semiseg.datasets.description import NAME, channel_names, class_names, read_description
from semiseg.datasets.overlaps import drawing_order
from semiseg.datasets.pairing import pair_files
from semiseg.datasets.pairs import Found, Pair, left_over
from semiseg.datasets.patients import patients_of
from semiseg.datasets.segmented import named_segments
from semiseg.datasets.sites import notes_on_sites
from semiseg.datasets.source_files import any_of
from semiseg.datasets.volume_reader import VolumeReader
from semiseg.errors import UserError
from semiseg.formats import is_volume, volume_format_of


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
            pair_files(folder, is_volume, options.labels, options.classes, reader=options.reader),
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
        images: returns the files of a pair's channels, if there is one file per channel; raises
            UserError if one is missing.
    """
    found, named = named_masks(found, options, folder)
    labels = [pair.label for pair in found.pairs if pair.label is not None and not pair.classes]
    segmented = named_segments(labels, options) if named is None else None
    reader = VolumeReader(folder, named, channels, options)
    about: list[str] = []
    if named is not None and not options.classes:
        named, about = drawing_order(
            found.pairs,
            named,
            lambda pair: reader.masks_of(pair, images(pair) if images else (pair.image,)),
        )
        reader.classes = named
    if named is None and segmented is not None:
        named = segmented.classes
    elif named is None:
        named = with_background(options.classes) if options.classes else classes
    patients = patients_of(found.pairs, options.patient_pattern)
    about += notes_on_sites(found.pairs, patients, options.patient_pattern)
    cases = []
    for pair, patient in zip(found.pairs, patients, strict=True):
        source = str(pair.image.relative_to(folder))
        try:
            files = images(pair) if images else (pair.image,)
        except UserError as error:
            cases.append(
                refused_case(
                    pair.identifier, patient, source, error, has_label=pair.label is not None,
                    part=pair.part,
                )
            )  # fmt: skip
            continue
        cases.append(
            SourceCase(
                identifier=pair.identifier,
                patient=patient,
                has_label=pair.label is not None,
                part=pair.part,
                source=source,
                files=tuple(file for path in (*files, *pair.masks) for file in _files(path)),
                read=functools.partial(
                    reader.read,
                    pair,
                    files,
                    segmented.tables[pair.label] if segmented and pair.label else (),
                ),
            )
        )
    split, notes = split_of_parts(cases, "the names of the source's folders")
    return Scan(
        name=name or folder.resolve().name,
        cases=tuple(cases),
        classes=named,
        colours=segmented.colours if segmented else {},
        kind="volumes",
        intensity=Intensity(kind="percentile", low=0.5, high=99.5),
        by_data=True,
        split=split,
        notes=(*notes, *about, *left_over(folder, found, found.pairs)),
        afterwards=reader.notes,
    )


def _files(path: Path) -> tuple[Path, ...]:
    """All files of a volume; only ``path`` if it names others wrongly, as reading then reports it."""
    try:
        return volume_format_of(path).files(path)
    except UserError:
        return (path,)
