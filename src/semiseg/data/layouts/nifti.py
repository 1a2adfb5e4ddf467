"""A folder of NIfTI images, with labels for all, some or (for now) none of them.

Sub-folders ``images`` and ``labels`` (imagesTr/labelsTr, img/masks, train/images, ...), or one tree
in which labels end in _gt, _seg, _label or _mask. ``dataset.json`` (Medical Segmentation Decathlon)
gives class names and pairs where it is there.
"""

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semiseg.data.images.names import NIFTI_SUFFIXES
from semiseg.data.images.nifti import read_nifti, read_nifti_label
from semiseg.data.layouts.base import (
    Options,
    Scan,
    SourceCase,
    patient_of,
    split_of_parts,
    with_background,
)
from semiseg.data.layouts.pairing import Pair, any_with, left_over, pair_files
from semiseg.data.task import Intensity
from semiseg.data.volume import Volume
from semiseg.errors import UserError


class NiftiFolder:
    """NIfTI images beside NIfTI labels."""

    name = "nifti"
    summary = "NIfTI: images/*.nii.gz beside labels/*.nii.gz, or NAME.nii.gz beside NAME_seg.nii.gz"
    where = (
        "anybody's own images; Medical Segmentation Decathlon: medicaldecathlon.com (CC BY-SA 4.0)"
    )

    def detect(self, folder: Path) -> str | None:
        """Any NIfTI file below the folder."""
        first = any_with(folder, NIFTI_SUFFIXES)
        if first is None:
            return None
        described = " and dataset.json" if (folder / "dataset.json").is_file() else ""
        return f"it holds NIfTI files such as {first.relative_to(folder)}{described}"

    def scan(self, folder: Path, options: Options) -> Scan:
        """Pair images with labels by their names.

        Raises:
            UserError: for a dataset.json that contradicts the files, and as :func:`pair_files`.
        """
        described = _read_description(folder / "dataset.json")
        channels = max(len(described.get("channel_names") or described.get("modality") or {}), 1)
        found = pair_files(folder, NIFTI_SUFFIXES)
        pairs = _with_listed(found.pairs, folder, described)
        names = _class_names(folder, described)
        cases = tuple(
            SourceCase(
                identifier=pair.identifier,
                patient=patient_of(pair.identifier, options.patient_pattern),
                has_label=pair.label is not None,
                part=pair.part,
                source=str(pair.image.relative_to(folder)),
                files=pair.files,
                read=functools.partial(read_pair, pair, channels),
            )
            for pair in pairs
        )
        split, notes = split_of_parts(cases, "the names of the source's folders")
        classes = with_background(options.classes) if options.classes else names
        return Scan(
            name=str(described.get("name") or folder.resolve().name),
            cases=cases,
            classes=classes,
            kind="volumes",
            intensity=Intensity(kind="percentile", low=0.5, high=99.5),
            split=split,
            notes=(*notes, *left_over(folder, found, pairs)),
        )


def read_pair(pair: Pair, channels: int) -> Volume:
    """The image and its label on one grid.

    Raises:
        UserError: naming the file that does not fit.
    """
    volume = read_nifti(pair.image, channels)
    if pair.label is None:
        return volume
    return dataclasses.replace(volume, label=read_nifti_label(pair.label, volume))


def _read_description(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{path} is no readable JSON: repair it or remove it.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} needs named entries such as labels: repair it or remove it.")
    return content


def _class_names(folder: Path, described: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Names in the order of their codes, from ``{"0": "background", ...}`` or its reverse."""
    labels = described.get("labels")
    if labels is None:
        return None
    wrong = UserError(
        f"{folder / 'dataset.json'}: 'labels' must name the codes 0, 1, 2, ... "
        'such as {"0": "background", "1": "RV"}: correct it.'
    )
    if not isinstance(labels, dict):
        raise wrong
    try:
        pairs = [(int(code), str(name)) for code, name in labels.items()]
    except (TypeError, ValueError):
        try:
            pairs = [(int(code), str(name)) for name, code in labels.items()]
        except (TypeError, ValueError):
            raise wrong from None
    pairs.sort()
    names = tuple(name for _, name in pairs)
    if [code for code, _ in pairs] != list(range(len(pairs))) or len(pairs) < 2:
        raise wrong
    if len(set(names)) < len(names) or not all(names):
        raise wrong
    return ("background", *names[1:])


def _with_listed(
    pairs: tuple[Pair, ...], folder: Path, described: Mapping[str, Any]
) -> tuple[Pair, ...]:
    """The pairs with the labels that dataset.json's ``training`` entries name."""
    listed = described.get("training")
    if not isinstance(listed, list):
        return pairs
    labels: dict[Path, Path] = {}
    for entry in listed:
        if not (isinstance(entry, dict) and isinstance(entry.get("image"), str)):
            continue
        for name in (entry["image"], entry.get("label")):
            if isinstance(name, str) and (name.startswith(("/", "\\")) or ".." in Path(name).parts):
                raise UserError(
                    f"{folder / 'dataset.json'} names {name}, outside of its folder: name files of the "
                    "folder only."
                )
        image = folder / entry["image"]
        if image.name.startswith("."):
            continue
        if isinstance(entry.get("label"), str):
            labels[image] = folder / entry["label"]
        for path in (image, labels.get(image, image)):
            if not path.is_file():
                raise UserError(
                    f"{folder / 'dataset.json'} names {path.relative_to(folder)}, "
                    "which is missing: copy it or take it off the list."
                )
    return tuple(
        dataclasses.replace(pair, label=labels.get(pair.image, pair.label)) for pair in pairs
    )
