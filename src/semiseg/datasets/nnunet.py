"""nnU-Net's raw form: ``imagesTr/case_0000.nii.gz`` (one file per channel), ``labelsTr/case.nii.gz``.

Isensee et al., Nature Methods 2021. ``dataset.json`` lists channels, classes and the file ending.
"""

import dataclasses
import functools
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semiseg.data.manifest import Part
from semiseg.datasets.base import Options, Scan
from semiseg.datasets.description import NAME, channel_names, class_names, read_description
from semiseg.datasets.pairs import Found, Pair
from semiseg.datasets.roles import CHANNEL
from semiseg.datasets.source_files import files_of
from semiseg.datasets.volumes import scan_volumes
from semiseg.errors import UserError
from semiseg.formats import is_volume, stem_of, suffix_of, suffixes_of

PARTS: dict[str, Part] = {"Tr": "train", "Ts": "test"}


class NnUnet:
    """One file per channel, numbered after the case's name."""

    name = "nnunet"
    summary = (
        "nnU-Net raw: imagesTr/case_0000.nii.gz (_0001 ...), labelsTr/case.nii.gz, dataset.json"
    )
    where = "anybody's own images; github.com/MIC-DKFZ/nnUNet describes the form"

    def detect(self, folder: Path) -> str | None:
        """Look for a dataset.json and images that end in ``_0000``."""
        if not (folder / NAME).is_file():
            return None
        folders = [folder / f"images{tail}" for tail in PARTS]
        files = (path for place in folders for path in files_of(place, is_volume))
        first = next((path for path in files if stem_of(path).endswith("_0000")), None)
        return f"it holds {NAME} and {first.relative_to(folder)}" if first else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """List the cases with the channels of dataset.json.

        Raises:
            UserError: for a dataset.json that is missing or contradicts the files, or regions instead
                of classes. A case with a missing or an additional channel raises it when it is read.
        """
        described, ignored = _ignored(folder, read_description(folder))
        ending, names = _ending(folder, described), channel_names(folder, described)
        pairs, labels, channels = [], set(), {}
        count = len(names)
        for tail, part in PARTS.items():
            for case, files in _cases(folder / f"images{tail}", ending).items():
                label = folder / f"labels{tail}" / f"{case}{ending}"
                labels.add(label)
                pairs.append(Pair(case, files[0], label if label.is_file() else None, part))
                channels[files[0]] = files
        if not count:  # the usual number, as a channel of one case may be missing
            count = statistics.mode(map(len, channels.values())) if channels else 1
        orphans = [
            path
            for tail in PARTS
            for path in _files_with(folder / f"labels{tail}", ending)
            if path not in labels
        ]
        scan = scan_volumes(
            folder,
            Found(tuple(pairs), tuple(orphans), ()),
            options,
            name=str(described.get("name") or "") or None,
            classes=None if options.classes else class_names(folder, described),
            images=functools.partial(
                _channels, files=channels, count=count, names=names, description=folder / NAME
            ),
        )
        return dataclasses.replace(scan, ignore_value=ignored)


def _ignored(folder: Path, described: Mapping[str, Any]) -> tuple[Mapping[str, Any], int | None]:
    """The description without the label 'ignore', and the value of that label."""
    labels = described.get("labels")
    if not isinstance(labels, dict):
        return described, None
    entry = next((e for e in labels.items() if "ignore" in map(str, e)), None)
    if entry is None:
        return described, None
    value = str(entry[1] if entry[0] == "ignore" else entry[0])
    if not (value.isdecimal() and 0 < int(value) < 256):
        raise UserError(
            f"{folder / NAME}: the label 'ignore' needs one value from 1 to 255: correct it."
        )
    rest = {key: code for key, code in labels.items() if key != entry[0]}
    return {**described, "labels": rest}, int(value)


def _ending(folder: Path, described: Mapping[str, Any]) -> str:
    """The suffix of the files: that of dataset.json, or else that of the first image."""
    ending = described.get("file_ending")
    if ending is None:
        first = next(iter(files_of(folder / "imagesTr", is_volume)), None)
        return suffix_of(first) if first else ".nii.gz"
    if not isinstance(ending, str) or ending.lower() not in suffixes_of("volume"):
        raise UserError(
            f"{folder / NAME} has the file_ending '{ending}': use one of "
            f"{', '.join(suffixes_of('volume'))}, or --layout pictures for pictures."
        )
    return ending.lower()


def _files_with(folder: Path, ending: str) -> list[Path]:
    """The files with the suffix ``ending``, sorted."""
    return files_of(folder, lambda path: suffix_of(path) == ending)


def _cases(folder: Path, ending: str) -> dict[str, list[Path]]:
    """Case -> its files in the order of their channels."""
    cases: dict[str, list[Path]] = {}
    for path in _files_with(folder, ending):
        found = CHANNEL.search(stem_of(path))
        if found is None:
            raise UserError(
                f"{path} has no channel number: name it {stem_of(path)}_0000{ending} or leave it out."
            )
        cases.setdefault(stem_of(path)[: found.start()], []).append(path)
    return cases


def _channels(
    pair: Pair,
    files: Mapping[Path, list[Path]],
    count: int,
    names: tuple[str, ...],
    description: Path,
) -> tuple[Path, ...]:
    """The files of the channels of a case.

    Raises:
        UserError: for a missing or an additional channel.
    """
    own, case = files[pair.image], pair.identifier
    expected = [f"{case}_{number:04d}" for number in range(count)]
    found = {stem_of(path) for path in own}
    missing = next((number for number, stem in enumerate(expected) if stem not in found), None)
    if missing is not None:
        what = f" ({names[missing]})" if names else ""
        raise UserError(
            f"{own[0].parent / expected[missing]}{suffix_of(own[0])} is missing, channel "
            f"{missing}{what} of {case}: copy it, or leave that case out."
        )
    additional = next((path for path in own if stem_of(path) not in expected), None)
    if additional is not None:
        raise UserError(
            f"{additional} is one channel more than the {count} in {description}: add it there or "
            "leave it out."
        )
    return tuple(own)
