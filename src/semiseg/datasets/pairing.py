"""Pairing of images and labels by the names of folders and files."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from semiseg.datasets.candidates import (
    check_one_folder,
    chosen_labels,
    folder_of_labels,
    labels_by_suffix,
    mask_folders,
    quoted,
    several_folders,
    suggestion,
    without_derived,
)
from semiseg.datasets.channel_files import check_channels
from semiseg.datasets.content import content_of
from semiseg.datasets.matching import Match, Matcher, pairing_names
from semiseg.datasets.pairs import Found, Pair
from semiseg.datasets.readers import masks_of_reader
from semiseg.datasets.roles import (
    IMAGE_ENDING,
    LABEL_ENDING,
    LABELS,
    PlacedFile,
    names_label,
    placed_files,
)
from semiseg.datasets.source_files import OfKind
from semiseg.datasets.spelling import unpadded
from semiseg.datasets.structure_files import masks_by_content, suggested_masks
from semiseg.datasets.structures import Masks, masks_of_images
from semiseg.errors import UserError
from semiseg.text import plural

ENDING = re.compile(LABEL_ENDING.pattern[:-1] + r"[_\-. ]*\(?\d*\)?$", re.IGNORECASE)


def pair_files(
    folder: Path,
    of_kind: OfKind,
    labels: str | None = None,
    classes: Sequence[str] | None = None,
    several: bool = True,
    reader: str | None = None,
) -> Found:
    """Pair images with labels below ``folder``.

    Labels are the files in folders such as ``labels`` or, if there are none, the files with words such
    as ``mask`` in their names. ``train``, ``val`` and ``test`` in a folder's name give the part. If
    every case has its own folder (``P01/image``, ``P01/label``), the folder's name identifies it. An
    image may have several labels (see `semiseg.datasets.structures`).

    Args:
        folder: the source.
        of_kind: which files are images or labels.
        labels: the folder of the labels, or the ending of their names, as given by the user.
        classes: class names, as given by the user.
        reader: the person whose labels count, as given by the user; None for all.
        several: whether an image may have several labels, or a label a longer name than its image.

    Raises:
        UserError: if no label matches an image, the labels may be in several folders, the meaning of
            several labels of an image is open, or an image has several channel files.
    """
    files = placed_files(folder, of_kind)
    notes: list[str] = []
    others: Mapping[str, Sequence[PlacedFile]] = {}
    if labels is not None:
        images, drawn, ignored = chosen_labels(folder, files, labels)
    else:
        images, drawn, ignored, others = _by_folders(files, notes)
        if not drawn and (found_twins := labels_by_suffix(images)) is not None:
            images, drawn, suffix = found_twins
            notes.append(f"the labels are the {suffix} files, which look like masks (--labels).")
    names = pairing_names((*images, *drawn), images)
    if drawn and drawn[0].role is None:  # by their names
        images, drawn = _by_names(images, drawn, names)
    if labels is not None:
        names |= {f.path: _without_ending(names[f.path], labels) for f in drawn}
    matches = [m for m in _matches(images, drawn, names, notes) if several or not m.named]
    if not drawn and several:
        matches = _by_class_names(images, names)
    if not drawn and not matches and several and labels is None:
        matches = masks_by_content(images, notes)
        masked = {match.label.path for match in matches}
        names = pairing_names(images, [image for image in images if image.path not in masked])
    if not matches and labels is not None:
        matches = _by_numbers(images, drawn, notes)
    others_drawn: set[Path] = set()
    if reader is not None:
        own, left = masks_of_reader(matches, reader)
        others_drawn = {m.label.path for m in matches} - {m.label.path for m in own}
        matches, notes = own, [*notes, *left]
    check_one_folder(folder, matches, others)
    if labels is None:
        notes += several_folders(folder, matches)
    matches = _without_strays(matches)
    masks, about = masks_of_images(matches, classes)
    taken = {match.label.path for match in matches} | others_drawn
    orphans = tuple(label.path for label in drawn if label.path not in taken)
    check_channels(images, matches, names, [names[path] for path in orphans])
    if orphans and not matches:
        hint = suggestion(folder, files) if labels is None else ""
        if labels is None and not hint and _by_numbers(images, drawn, []):
            place = quoted(folder_of_labels(folder, drawn[0]))
            hint = f", or pair them by the last numbers of their names with --labels {place}"
        raise UserError(
            f"{folder}: none of its labels ({len(orphans):,}, for example {orphans[0].name}) matches an "
            "image: give image and label the same name, end the label's name in _mask, _seg or _gt, or "
            f"list the pairs in a CSV{hint}."
        )
    images, derived = without_derived([image for image in images if image.path not in taken])
    ignored = [*ignored, *derived]
    if not matches and labels is None and several and (hint := suggested_masks(images)):
        raise UserError(f"{folder} has no label by name; {hint}.")
    if not matches and labels is None and (hint := suggestion(folder, files)):
        raise UserError(f"{folder} has no folder of labels by name{hint}.")
    pairs = _pairs(images, matches, masks, names)
    return Found(pairs, orphans, tuple(ignored), (*notes, *about))


def _matches(
    images: Sequence[PlacedFile],
    drawn: Sequence[PlacedFile],
    names: Mapping[Path, str],
    notes: list[str],
) -> list[Match]:
    """Labels with their images, by names and then by names without leading zeros of numbers."""
    matcher = Matcher(images, names)
    found = {label.path: matcher.match(label) for label in drawn}
    matches = [match for match in found.values() if match is not None]
    left = [label for label in drawn if found[label.path] is None]
    if not left:
        return matches
    matcher = Matcher(images, names, unpadded)
    more = [match for label in left if (match := matcher.match(label)) is not None]
    if more:
        first = more[0]
        notes.append(
            f"{plural(len(more), 'label')} {'has' if len(more) == 1 else 'have'} other leading zeros than "
            f"the image with the same number (such as {first.label.path.name} of {first.image.path.name})."
        )
    return [*matches, *more]


Roles = tuple[list[PlacedFile], list[PlacedFile], list[Path], Mapping[str, Sequence[PlacedFile]]]


def _by_folders(files: Sequence[PlacedFile], notes: list[str]) -> Roles:
    """Images, labels, ignored files, and folders of unknown role that hold masks.

    Labels that may be told by their names have no role.
    """
    drawn = [file for file in files if file.role == "label"]
    images = [file for file in files if file.role == "image"]
    rest = [file for file in files if file.role is None]
    masks: dict[str, list[PlacedFile]] = {}
    if (drawn or images) and rest:
        masks = mask_folders(files, images or drawn)
    if drawn:
        if not images:
            held = {file for own in masks.values() for file in own}
            return [file for file in rest if file not in held], drawn, [], masks
        return images, drawn, [file.path for file in rest], masks
    if images and len(masks) == 1:
        ((name, own),) = masks.items()
        notes.append(f"the labels are those of the folder '{name}', whose files look like masks.")
        own = [_as_label(file) for file in own]
        taken = {file.path for file in own}
        return images, own, [file.path for file in rest if file.path not in taken], {}
    if images and masks:
        held = {file for own in masks.values() for file in own}
        return images, [], [file.path for file in rest if file not in held], masks
    named = [f for f in files if names_label(f.stem) or (f.folder and f.word in LABELS)]
    if not named:
        return list(files), [], [], {}
    known = set(named)
    unnamed = [file for file in files if file not in known]
    derived = [file for file in unnamed if "derivatives" in file.place]
    others = [file for file in unnamed if "derivatives" not in file.place]
    if not others:
        return derived, named, [], {}
    return others, named, [file.path for file in derived], {}


def _as_label(file: PlacedFile) -> PlacedFile:
    return PlacedFile(file.path, "label", file.part, file.place[:-1])


def _by_names(
    images: Sequence[PlacedFile], drawn: Sequence[PlacedFile], names: Mapping[Path, str]
) -> tuple[list[PlacedFile], list[PlacedFile]]:
    """Images and labels if names tell them apart: words such as ``mask`` may be in names of images."""
    matcher = Matcher(images, names)
    labels: list[PlacedFile] = []
    more: list[PlacedFile] = []
    for file in drawn:
        certain = ENDING.search(file.stem) or file.word in LABELS
        (labels if certain or matcher.match(file) else more).append(file)
    return [*images, *more], labels


def _without_ending(name: str, ending: str) -> str:
    if name.lower().endswith(ending.lower()) and len(name) > len(ending):
        return name[: -len(ending)].rstrip("_-. ")
    return name


def _by_class_names(images: Sequence[PlacedFile], names: Mapping[Path, str]) -> list[Match]:
    """Matches of ``a_liver`` with ``a``, if no name has a word such as ``mask``.

    No class may be a number (``scan_2`` is another scan), and at least half of the images with masks
    must have each class.
    """
    matcher = Matcher(images, names)
    matches = [match for image in images if (match := matcher.match_longer(image)) is not None]
    taken = {match.label.path for match in matches}
    matches = [
        match for match in matches
        if match.image.path not in taken and not (match.label.role and not match.image.role)
    ]  # fmt: skip
    counts = Counter(word for _, word in {(m.image.path, m.word) for m in matches})
    having = len({match.image.path for match in matches})
    if any(word.isdecimal() or 2 * count < having for word, count in counts.items()):
        return []
    if not content_of([match.label.path for match in matches]).masks and (
        content_of([match.image.path for match in matches]).masks
    ):
        return []  # the files of the longer names are the images
    return matches


def _by_numbers(
    images: Sequence[PlacedFile], drawn: Sequence[PlacedFile], notes: list[str]
) -> list[Match]:
    """Matches of files whose names have the same last number, if the user names the labels."""
    pictures, masks = _numbered(images), _numbered(drawn)
    if not (pictures and masks and masks.keys() <= pictures.keys()):
        return []
    matches = [Match(mask, pictures[key], "") for key, mask in masks.items()]
    first = matches[0]
    notes.append(
        f"images and labels are paired by the numbers in their names (such as {first.image.path.name} "
        f"and {first.label.path.name})."
    )
    return matches


def _numbered(files: Sequence[PlacedFile]) -> dict[tuple[str, int], PlacedFile]:
    """(Part, last number of the name) -> file; empty if a name has none or two have the same."""
    found: dict[tuple[str, int], PlacedFile] = {}
    for file in files:
        numbers = re.findall(r"\d+", file.stem)
        if not numbers or (file.place[0], int(numbers[-1])) in found:
            return {}
        found[file.place[0], int(numbers[-1])] = file
    return found


def _without_strays(matches: Sequence[Match]) -> list[Match]:
    """The matches without single files whose names only begin like that of an image.

    They are masks of images that are missing, if most masks have the name of their image.
    """
    plain = {match.image.path for match in matches if not match.word}
    counts = Counter(match.word for match in matches)
    return [
        match for match in matches
        if not (match.named and match.label.role == "label" and match.word
                and not match.word.isdecimal() and 2 * counts[match.word] < len(plain)
                and match.label.place == match.image.place)
    ]  # fmt: skip


def _pairs(
    images: Sequence[PlacedFile], matches: Sequence[Match], masks: Masks, names: Mapping[Path, str]
) -> tuple[Pair, ...]:
    """The pairs in the order of the images."""
    labels = {match.image.path: match.label.path for match in reversed(matches)}
    drawn = {match.image.path: names[match.label.path] for match in matches}
    channelled = bool(images) and all(image.stem.endswith("_0000") for image in images)
    identifiers = {}
    for image in images:
        name = names[image.path]
        shortened = IMAGE_ENDING.sub("", name)
        short = channelled or drawn.get(image.path) == shortened
        identifiers[image.path] = shortened if short else name
    prefixes = _prefixes(images, identifiers)
    return tuple(
        Pair(
            "_".join(filter(None, (prefixes[image.path], identifiers[image.path]))), image.path,
            labels.get(image.path), image.part, masks.get(image.path, ()), image.place[1:],
            prefixes[image.path],
        )
        for image in images
    )  # fmt: skip


def _prefixes(images: Sequence[PlacedFile], identifiers: Mapping[Path, str]) -> dict[Path, str]:
    """Folders to put in front of the identifiers, if images in several folders have equal names."""
    none = dict.fromkeys(identifiers, "")
    if len(set(identifiers.values())) == len(identifiers):
        return none
    for with_part in (False, True):
        prefixes = {
            image.path: "_".join(filter(None, (image.place[0] * with_part, *_place(image, name))))
            for image, name in zip(images, identifiers.values(), strict=True)
        }
        distinct = {(prefixes[path], name) for path, name in identifiers.items()}
        if all(prefixes.values()) and len(distinct) == len(identifiers):
            return prefixes
    return none


def _place(image: PlacedFile, identifier: str) -> tuple[str, ...]:
    """The folders of an image, without the innermost if that is its identifier."""
    return image.place[1:-1] if identifier == image.folder else image.place[1:]
