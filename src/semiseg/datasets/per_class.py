"""Pairing of pictures with one mask per class.

The masks of ``NAME.png`` are ``NAME_liver.png`` and ``NAME_tumour.png``, or ``masks/liver/NAME.png``
and ``masks/tumour/NAME.png``. Used only if `semiseg.datasets.pairing` finds no mask.
"""

import re
from pathlib import Path

from semiseg.datasets.pairing import (
    LABEL_ENDING,
    Found,
    OfKind,
    Pair,
    PlacedFile,
    pair_files,
    placed_files,
)
from semiseg.errors import UserError
from semiseg.formats import stem_of

SEPARATORS = "_-. "
WORD = re.compile(r"^(?:gt|seg|segmentation|labels?|masks?|annotation|groundtruth)[_\-. ]", re.I)
MOST_CLASSES = 63

Key = tuple[tuple[str, ...], str]


def pair_pictures(folder: Path, of_kind: OfKind) -> Found:
    """Pair by `pair_files` or, if that finds no mask, by `pair_class_files`.

    Raises:
        UserError: as in `pair_files`, if there is no mask per class either.
    """
    try:
        found = pair_files(folder, of_kind)
    except UserError:
        by_class = pair_class_files(folder, of_kind)
        if by_class is None:
            raise
        return by_class
    if any(pair.label for pair in found.pairs):
        return found
    return pair_class_files(folder, of_kind) or found


def pair_class_files(folder: Path, of_kind: OfKind) -> Found | None:
    """Pair images with one mask per class; None if the names do not match this form.

    The class is the part that the mask's name adds to the image's name, or the folder of the mask.
    Without a folder for masks, no class may be a number (``scan_2.png`` is another scan), and at least
    half of the images with masks must have each class.
    """
    files = placed_files(folder, of_kind)
    by_folder = any(file.role == "label" for file in files)
    with_images = any(file.role == "image" for file in files)
    labels = [file for file in files if not by_folder or file.role == "label"]
    images: dict[Key, PlacedFile] = {}
    for file in files:
        if file.role == "image" or (file.role is None and not (by_folder and with_images)):
            images.setdefault((file.place, stem_of(file.path)), file)
            images.setdefault((("", *file.place[1:]), stem_of(file.path)), file)
    masks: dict[Path, dict[str, Path]] = {}
    orphans = []
    for label in labels:
        match = _image_and_class(label, images)
        if match is None:
            orphans.append(label.path)
        else:
            image, name = match
            masks.setdefault(image, {}).setdefault(name, label.path)
    taken = {path for of_image in masks.values() for path in of_image.values()}
    if not by_folder:
        orphans = []
        masks = {image: found for image, found in masks.items() if image not in taken}
    names = {name for of_image in masks.values() for name in of_image}
    if not names or len(names) > MOST_CLASSES:
        return None
    if not by_folder:
        counts = {name: sum(name in found for found in masks.values()) for name in names}
        if any(name.isdecimal() or 2 * counts[name] < len(masks) for name in names):
            return None
    pairs = []
    for file in dict.fromkeys(images.values()):
        if file.path in taken:
            continue
        classes = tuple(sorted(masks.get(file.path, {}).items()))
        label_path = classes[0][1] if classes else None
        pairs.append(Pair(stem_of(file.path), file.path, label_path, file.part, classes))
    return Found(tuple(pairs), tuple(orphans), ())


def _image_and_class(label: PlacedFile, images: dict[Key, PlacedFile]) -> tuple[Path, str] | None:
    """The image of a mask and its class; None if no image matches."""
    stem = stem_of(label.path)
    shortened = LABEL_ENDING.sub("", stem)
    if len(label.place) > 1:
        for name in dict.fromkeys((stem, shortened)):
            image = images.get((label.place[:-1], name))
            if image is not None:
                return image.path, label.place[-1]
    for end in range(len(shortened) - 1, 0, -1):
        if shortened[end] not in SEPARATORS:
            continue
        image = images.get((label.place, shortened[:end]))
        name = WORD.sub("", shortened[end + 1 :])
        if image is not None and image.path != label.path and name:
            return image.path, name
    return None
