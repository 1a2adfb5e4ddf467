"""Medical Segmentation Decathlon: ``imagesTr``, ``labelsTr``, ``imagesTs`` and ``dataset.json``.

Antonelli et al., Nature Communications 2022. Images with several modalities have four axes.
``dataset.json`` lists the classes and the pairs.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semiseg.datasets.base import Options, Scan
from semiseg.datasets.description import NAME, channel_names, class_names, read_description
from semiseg.datasets.pairing import pair_files
from semiseg.datasets.pairs import Found, Pair
from semiseg.datasets.source_files import any_of
from semiseg.datasets.volumes import scan_volumes
from semiseg.errors import UserError
from semiseg.files import inside
from semiseg.formats import is_volume, stem_of


class Decathlon:
    """Volumes with a dataset.json."""

    name = "decathlon"
    summary = (
        "Medical Segmentation Decathlon: imagesTr/NAME.nii.gz, labelsTr/NAME.nii.gz, dataset.json"
    )
    where = "medicaldecathlon.com (CC BY-SA 4.0)"

    def detect(self, folder: Path) -> str | None:
        """Look for a dataset.json and a volume in ``imagesTr``."""
        images = folder / "imagesTr"
        first = any_of(images, is_volume) if (folder / NAME).is_file() else None
        return f"it holds {NAME} and {first.relative_to(folder)}" if first else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """Pair images with labels by dataset.json and by their names.

        A case of which dataset.json names a file that is missing raises it when it is read.

        Raises:
            UserError: for a dataset.json that is missing or cannot be read, and as in
                :func:`pair_files`.
        """
        described = read_description(folder)
        found = pair_files(folder, is_volume, several=False)
        found, missing = _with_listed(found, folder, described)

        def images(pair: Pair) -> tuple[Path, ...]:
            if pair.image in missing:
                raise missing[pair.image]
            return (pair.image,)

        return scan_volumes(
            folder,
            found,
            options,
            name=str(described.get("name") or "") or None,
            classes=None if options.classes else class_names(folder, described),
            channels=max(len(channel_names(folder, described)), 1),
            images=images,
        )


def _with_listed(
    found: Found, folder: Path, described: Mapping[str, Any]
) -> tuple[Found, dict[Path, UserError]]:
    """The pairs with the labels of the ``training`` entries in dataset.json.

    Also the error of each image of which that list names a file that is missing.
    """
    listed = described.get("training")
    if not isinstance(listed, list):
        return found, {}
    labels: dict[Path, Path] = {}
    missing: dict[Path, UserError] = {}
    for entry in listed:
        if not (isinstance(entry, dict) and isinstance(entry.get("image"), str)):
            continue
        image = inside(folder, entry["image"], folder / NAME)
        if image.name.startswith("."):
            continue
        if isinstance(entry.get("label"), str):
            labels[image] = inside(folder, entry["label"], folder / NAME)
        for path in (image, labels.get(image, image)):
            if not path.is_file():
                missing[image] = UserError(
                    f"{folder / NAME} names {path.relative_to(folder)}, "
                    "which is missing: copy it or remove it from the list."
                )
                labels.pop(image, None)
                break
    known = {pair.image for pair in found.pairs}
    if not known - set(missing):
        raise next(iter(missing.values()))
    pairs = [
        dataclasses.replace(pair, label=labels.get(pair.image, pair.label)) for pair in found.pairs
    ]
    pairs += [Pair(stem_of(image), image, None, None) for image in missing if image not in known]
    used = {pair.label for pair in pairs}
    orphans = tuple(path for path in found.orphans if path not in used)
    return dataclasses.replace(found, pairs=tuple(pairs), orphans=orphans), missing
