"""Pairing of images and labels by the names of folders and files."""

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from semiseg.data.manifest import Part
from semiseg.errors import UserError
from semiseg.files import is_special, walk_files
from semiseg.formats import stem_of

IMAGES = {"image", "images", "img", "imgs", "imaging", "scan", "scans", "volumes", "pictures",
          "unlabelled", "unlabeled"}  # fmt: skip
LABELS = {"label", "labels", "mask", "masks", "seg", "segs", "segmentation", "segmentations", "gt",
          "annotation", "annotations", "groundtruth"}  # fmt: skip
PART_NAMES: dict[str, Part] = {
    "tr": "train", "train": "train", "training": "train",
    "va": "validation", "val": "validation", "valid": "validation", "validation": "validation",
    "ts": "test", "test": "test", "testing": "test",
}  # fmt: skip
LABEL_ENDING = re.compile(
    r"[_\-. ](?:gt|seg|segmentation|labels?|masks?|annotation|groundtruth)$", re.IGNORECASE
)
IMAGE_ENDING = re.compile(r"[_\-. ](?:img|image|imaging|0000)$", re.IGNORECASE)
CHANNEL = re.compile(r"_(\d{4})$")

Role = Literal["image", "label"]
OfKind = Callable[[Path], bool]
"""Whether a file is of a certain kind, such as `semiseg.formats.is_volume`."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image, its label (if any), and the part of the split that its folders name.

    ``classes``: name and mask of each class, if there is one mask per class; ``label`` is then one of
    these masks.
    """

    identifier: str
    image: Path
    label: Path | None
    part: Part | None
    classes: tuple[tuple[str, Path], ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The image and its label or the masks of its classes, if any."""
        if self.classes:
            return (self.image, *(mask for _, mask in self.classes))
        return (self.image,) if self.label is None else (self.image, self.label)


@dataclasses.dataclass(frozen=True)
class Found:
    """The pairs of a folder, labels without an image, and files outside the image folders."""

    pairs: tuple[Pair, ...]
    orphans: tuple[Path, ...]
    ignored: tuple[Path, ...]


@dataclasses.dataclass(frozen=True)
class PlacedFile:
    """A file with its role and part by the names of its folders, and its other folders."""

    path: Path
    role: Role | None
    part: Part | None
    place: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The innermost folder that names neither role nor part; empty if there is none."""
        return self.place[-1] if len(self.place) > 1 else ""

    @property
    def word(self) -> str:
        """The file's name in lower case, without its suffix."""
        return stem_of(self.path).lower()


def files_of(folder: Path, of_kind: OfKind) -> list[Path]:
    """Files below ``folder`` for which ``of_kind`` is true, sorted, without hidden ones."""
    return list(_walk(folder, of_kind))


def any_of(folder: Path, of_kind: OfKind) -> Path | None:
    """The first file of :func:`files_of`, without listing the others."""
    return next(_walk(folder, of_kind), None)


def special_files(folder: Path) -> list[Path]:
    """Pipes, sockets and devices below ``folder``, sorted; links to them too."""
    found = []
    for root, _, names in os.walk(folder):
        found += [path for name in names if is_special(path := Path(root, name))]
    return sorted(found)


def _walk(folder: Path, of_kind: OfKind) -> Iterator[Path]:
    """The files of :func:`semiseg.files.walk_files` that are of a kind.

    Raises:
        UserError: for a folder that cannot be read, or a link to a folder outside the source.
    """
    return (path for path in walk_files(folder) if of_kind(Path(path.name)))


def role_of(name: str) -> tuple[Role | None, Part | None]:
    """Role and part in the name of a folder: ``imagesTr`` -> image, train; else (None, None)."""
    role: Role | None = None
    part: Part | None = None
    for token in re.split(r"[_\-. ]+", name.lower().replace("ground_truth", "groundtruth")):
        word, tail = token, ""
        if token not in IMAGES | LABELS | PART_NAMES.keys():
            for ending in sorted(PART_NAMES, key=len, reverse=True):
                if token.endswith(ending) and token[: -len(ending)] in IMAGES | LABELS:
                    word, tail = token[: -len(ending)], ending
                    break
            else:
                return None, None  # any other word: an ordinary folder
        if word in PART_NAMES:
            part = PART_NAMES[word]
        elif word in LABELS:
            role = "label"
        elif role is None:
            role = "image"
        part = PART_NAMES.get(tail, part)
    return role, part


def pair_files(folder: Path, of_kind: OfKind) -> Found:
    """Pair images with labels below ``folder``.

    Labels are the files in folders such as ``labels`` or, if there are none, the files with endings
    such as ``_gt`` and ``_mask``. ``train``, ``val`` and ``test`` in a folder's name give the part. If
    every case has its own folder (``P01/image``, ``P01/label``), the folder's name identifies it.

    Raises:
        UserError: if no label matches an image, two labels belong to one image, or an image has
            several channel files.
    """
    files = placed_files(folder, of_kind)
    by_folder = any(file.role == "label" for file in files)
    image_folders = any(file.role == "image" for file in files)
    images, labels, ignored = [], [], []
    for file in files:
        ending = LABEL_ENDING.search(stem_of(file.path)) or (file.folder and file.word in LABELS)
        if file.role == "label" or (not by_folder and ending):
            labels.append(file)
        elif by_folder and image_folders and file.role is None:
            ignored.append(file)
        else:
            images.append(file)
    names = _names(images, labels)
    exact = {(file.place, names[file.path]): file for file in labels}
    # The image folder may name a part and the label folder not (imagesTr, labels).
    exact |= {(("", *file.place[1:]), names[file.path]): file for file in labels} | exact
    stripped = {
        (file.place, LABEL_ENDING.sub("", names[file.path])): file
        for file in labels
        if LABEL_ENDING.search(names[file.path])
    }
    _one_label_each(labels, names)
    channelled = bool(images) and all(stem_of(file.path).endswith("_0000") for file in images)
    pairs, used = [], set()
    for image in images:
        stem = names[image.path]
        shortened = IMAGE_ENDING.sub("", stem)
        places = dict.fromkeys((image.place, ("", *image.place[1:])))
        keys = [(place, name) for place in places for name in (stem, shortened)]
        label = next(
            (index[key] for key in keys for index in (exact, stripped) if key in index), None
        )
        channel = CHANNEL.search(stem)
        if label is None and channel and channel.group(1) != "0000":
            without = (image.place, stem[: channel.start()])
            if without in exact:
                raise UserError(
                    f"{image.path} is an additional channel of an image: name the channels in "
                    "nnU-Net's dataset.json, or list the files in semiseg.csv."
                )
        if label is not None:
            used.add(label.path)
        use_shortened = channelled or (label and shortened == names[label.path])
        identifier = shortened if use_shortened else stem
        pairs.append(Pair(identifier, image.path, label.path if label else None, image.part))
    orphans = tuple(file.path for file in labels if file.path not in used)
    if orphans and not used:
        raise UserError(
            f"{folder}: none of its labels ({len(orphans):,}, for example {orphans[0].name}) matches an "
            "image: give image and label the same name, end the label's name in _mask, _seg or _gt, or "
            "list the pairs in a CSV."
        )
    return Found(tuple(pairs), orphans, tuple(file.path for file in ignored))


def placed_files(folder: Path, of_kind: OfKind) -> list[PlacedFile]:
    """The files of `files_of` with their roles and parts."""
    return [_place(folder, path) for path in files_of(folder, of_kind)]


def _place(folder: Path, path: Path) -> PlacedFile:
    """Role and part by the folders' names; the other folders are the place of the file."""
    role: Role | None = None
    part: Part | None = None
    place = []
    for name in path.relative_to(folder).parts[:-1]:
        found_role, found_part = role_of(name)
        if found_role == "label" or (found_role and role is None):
            role = found_role
        part = found_part or part
        if found_role is None and found_part is None:
            place.append(name)
    return PlacedFile(path, role, part, (part or "", *place))


def left_over(folder: Path, found: Found, pairs: Sequence[Pair]) -> list[str]:
    """Notes about files that no case uses."""
    used = {pair.label for pair in pairs}
    notes = []
    orphans = [path for path in found.orphans if path not in used]
    for paths, what in (
        (orphans, "labels without an image"),
        (found.ignored, "files outside the image folders"),
    ):
        if paths:
            notes.append(
                f"{len(paths):,} {what} are left out (such as {paths[0].relative_to(folder)})."
            )
    return notes


def _names(images: Sequence[PlacedFile], labels: Sequence[PlacedFile]) -> dict[Path, str]:
    """The name of each file for pairing: its own, or that of its case's folder.

    The folder's name is used if the file's name is generic (``P01/image``), or if every image has its
    own folder and file names repeat (``P01/t1``, ``P02/t1``).
    """
    places = [image.place for image in images]
    separate = len(set(places)) == len(places) and all(image.folder for image in images)
    repeated = len({image.word for image in images}) < len(images)
    case_folders = set(places) if separate and repeated else set()
    names = {}
    for file in (*images, *labels):
        specific = file.place not in case_folders and file.word not in IMAGES | LABELS
        names[file.path] = stem_of(file.path) if specific or not file.folder else file.folder
    return names


def _one_label_each(labels: Sequence[PlacedFile], names: Mapping[Path, str]) -> None:
    seen: dict[tuple[tuple[str, ...], str], Path] = {}
    for file in labels:
        other = seen.setdefault((file.place, names[file.path]), file.path)
        if other != file.path:
            raise UserError(
                f"{other} and {file.path} are labels of the same image: merge them, or remove one."
            )
