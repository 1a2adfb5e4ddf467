"""Folders that may hold the labels of a source: the one that ``--labels`` names, or all that look so."""

import dataclasses
from collections.abc import Mapping, Sequence
from os.path import commonpath
from pathlib import Path

from semiseg.datasets.content import content_of
from semiseg.datasets.matching import Match, PathNames
from semiseg.datasets.roles import (
    IMAGES,
    LABELS,
    PART_NAMES,
    PlacedFile,
    composed,
    names_label,
    role_of,
    tokens_of,
    without_words,
)
from semiseg.datasets.spelling import unpadded
from semiseg.datasets.versions import newest_folder
from semiseg.errors import UserError
from semiseg.formats import stem_of, suffix_of
from semiseg.text import joined, listed, plural

MOST_FOLDERS = 8  # more folders are those of cases or patients
DERIVED = {"pred", "preds", "prediction", "predictions", "predicted", "output", "outputs", "out",
           "result", "results", "overlay", "overlays", "preview", "previews", "thumbnail", "thumbnails",
           "prob", "probs", "probability", "heatmap", "contour", "contours", "superpixels",
           "vis", "visualisation", "visualization", "pseudo", "probabilities"}  # fmt: skip


ALONE = {*DERIVED, "macro", "overview"}  # also if they are the whole name, as in exports of slides


def chosen_labels(
    folder: Path, files: Sequence[PlacedFile], labels: str
) -> tuple[list[PlacedFile], list[PlacedFile], list[Path]]:
    """Images, labels and other files, if the user names the labels.

    Args:
        folder: the source.
        files: its files.
        labels: a folder below the source (its path, or its name at any depth), the ending of the
            names of labels, or their suffix.

    Raises:
        UserError: if neither exists.
    """
    wanted = tuple(composed(part) for part in labels.replace("\\", "/").strip("/").split("/"))
    own, rest = [], []
    for file in files:
        parts = tuple(composed(part) for part in file.path.relative_to(folder).parts[:-1])
        place = _without(parts, wanted)
        if place is None:
            rest.append(file)
        else:
            plain = (part for part in place if role_of(part) == (None, None))
            own.append(dataclasses.replace(file, role="label", place=(file.part or "", *plain)))
    if own:
        named = any(file.role == "image" for file in rest)
        images = [f for f in rest if f.role == "image" or not (named or f.role == "label")]
        if not named:  # other folders of masks are no images
            masks = {file for other in mask_folders(images).values() for file in other}
            images = [file for file in images if file not in masks]
        kept = set(images)
        return images, own, [file.path for file in rest if file not in kept]
    ending = composed(labels).lower()
    own = [f for f in files if f.word.endswith(ending)]
    if not own and ending.startswith("."):
        own = [file for file in files if suffix_of(file.path) == ending]  # .tif is not .ome.tif
        own = own or [file for file in files if file.path.name.lower().endswith(ending)]
    if not own:
        folders = {str(f.path.relative_to(folder).parent) for f in files} - {"."}
        raise UserError(
            f"--labels {labels}: {folder} has no such folder, and no name of a file ends like this: use "
            f"one of its folders ({listed(sorted(folders)) or 'none'}), the ending of the labels' names, or "
            "their suffix such as .png."
        )
    taken = set(own)
    others = [file for file in files if file not in taken]
    stems = {file.stem for file in files}  # masks of others may continue the name of a label
    images, ignored = [], list[PlacedFile]()
    for file in others:
        begins = {file.stem[:end] for end, sign in enumerate(file.stem) if sign in "_-. "}
        may_be = bool(begins & stems) or names_label(file.stem)
        mask = file.role == "label" or (may_be and content_of([file.path]).masks)
        (ignored if mask else images).append(file)
    if not images:
        images, ignored = others, []
    own = [dataclasses.replace(file, role="label") for file in own]
    return images, own, [file.path for file in ignored]


def _without(parts: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...] | None:
    """``parts`` without the consecutive parts ``wanted``; None if they do not occur."""
    for start in range(len(parts) - len(wanted) + 1):
        if parts[start : start + len(wanted)] == wanted:
            return (*parts[:start], *parts[start + len(wanted) :])
    return None


def mask_folders(
    files: Sequence[PlacedFile], known: Sequence[PlacedFile] = ()
) -> dict[str, list[PlacedFile]]:
    """Folders without a role whose files look like masks, and have the names of other files.

    A word such as ``masks`` in the folder's name counts as well as the names of its files. Folders
    of predictions, overlays and the like do not count.

    Args:
        files: all files.
        known: the files whose names count; default: those outside of the folder.
    """
    groups: dict[str, list[PlacedFile]] = {}
    for file in files:
        if file.role is None and file.folder:
            groups.setdefault(file.folder, []).append(file)
    if len(groups) > MOST_FOLDERS:
        return {}
    found = {}
    for name, own in groups.items():
        if set(tokens_of(name)) & DERIVED:
            continue
        members = set(own)
        around = [file for file in known or files if file not in members]
        keys, paths = {_key(file) for file in around}, PathNames(around)
        alike = [f for f in own if _key(f) in keys or paths.find(f.stem) is not None]
        if 2 * len(alike) < len(own) and not {*tokens_of(name)} & LABELS:
            continue
        if content_of([file.path for file in own]).masks:
            found[name] = own
    return found


def labels_by_suffix(
    files: Sequence[PlacedFile],
) -> tuple[list[PlacedFile], list[PlacedFile], str] | None:
    """Images, labels and the suffix of the labels, if both have the same names: ``a.jpg``, ``a.png``.

    None if files with equal names have other than two suffixes, or not exactly one of them holds masks.
    """
    twins: dict[tuple[tuple[str, ...], str], list[PlacedFile]] = {}
    for file in files:
        twins.setdefault((file.place, file.stem), []).append(file)
    groups: dict[str, list[PlacedFile]] = {}
    for own in twins.values():
        if len(own) > 1:
            for file in own:
                groups.setdefault(suffix_of(file.path), []).append(file)
    if len(groups) != 2:
        return None
    masks = [name for name, own in groups.items() if content_of([f.path for f in own]).masks]
    if len(masks) != 1:
        return None
    labels = set(groups[masks[0]])
    return [file for file in files if file not in labels], list(groups[masks[0]]), masks[0]


def without_derived(images: Sequence[PlacedFile]) -> tuple[list[PlacedFile], list[Path]]:
    """The images, and files derived from them, such as overlays and predictions.

    The name of a derived file continues that of an image in the same folder with a word such as
    ``overlay``, or is such a word.

    Raises:
        UserError: for a file whose name continues that of an image with another word and that looks like
            a mask (``P0_totalseg`` beside ``P0``).
    """
    known = {(image.place, image.word): image for image in images}
    kept, derived = [], []
    alone = {image for image in images if {*tokens_of(image.word)} <= ALONE}
    if len(alone) == len(images):
        alone = set()
    for image in images:
        if image in alone:
            derived.append(image.path)
            continue
        ends = [end for end, sign in enumerate(image.word) if sign in "_-." and end]
        bases = [
            (known[key], end) for end in ends if (key := (image.place, image.word[:end])) in known
        ]
        base, end = bases[-1] if bases else (None, 0)
        words = set(tokens_of(image.word[end:])) if base else set()
        if words & DERIVED:
            derived.append(image.path)
            continue
        named = any(not word.isdecimal() for word in words)
        if base and named and content_of([image.path]).masks and not content_of([base.path]).masks:
            raise UserError(
                f"{image.path} pairs with no image and looks like a mask of {base.path.name}: name it like "
                "its image, put it into a folder of masks (--labels FOLDER), or remove it."
            )
        kept.append(image)
    return kept, derived


def _key(file: PlacedFile) -> str:
    key = without_words(file.stem, IMAGES | LABELS | PART_NAMES.keys(), numbers=False)
    return unpadded(key or file.word)


def check_one_folder(
    folder: Path, matches: Sequence[Match], others: Mapping[str, Sequence[PlacedFile]]
) -> None:
    """Check that the labels of an image are in one folder.

    Args:
        folder: the source.
        matches: labels with their images.
        others: see `mask_folders`.

    Raises:
        UserError: if several folders may hold the labels.
    """
    of_folder: dict[str, list[Path]] = {}
    of_image: dict[tuple[Path, str], set[str]] = {}  # of one structure
    for match in matches:
        name = folder_of_labels(folder, match.label)
        of_folder.setdefault(name, []).append(match.label.path)
        structure = "" if match.word.isdecimal() else match.word.lower()
        of_image.setdefault((match.image.path, structure), set()).add(name)
    competing = {name for names in of_image.values() if len(names) > 1 for name in names}
    if others and not competing:
        competing = set(of_folder)
    files = {name: of_folder[name] for name in sorted(competing)}
    files |= {name: [file.path for file in own] for name, own in others.items()}
    if len(files) < 2:
        return
    held = {name: content_of(paths) for name, paths in files.items()}
    shown = [f"{name} ({content.words})" for name, content in held.items()]
    if (newest := newest_folder(list(files))) is not None:
        raise UserError(
            f"{folder} has several versions of its masks, in {joined(shown)}: "
            f"{_which_version(newest, files)}."
        )
    likely = next((n for n, c in held.items() if c.masks and "the same" not in c.words), "FOLDER")
    raise UserError(
        f"{folder} has several folders that may hold the labels: {'; '.join(shown)}: choose one "
        f"with --labels, for example --labels {quoted(likely)}."
    )


def _which_version(newest: str, files: Mapping[str, Sequence[Path]]) -> str:
    """What to do about folders that hold versions of the masks.

    Args:
        newest: the folder of the newest version.
        files: folder -> its masks.
    """
    keys = {
        name: {without_words(stem_of(path), LABELS) for path in own} for name, own in files.items()
    }
    others = [name for name in files if name != newest]
    older = set().union(*(keys[name] for name in others))
    choice = f"--labels {quoted(newest)}"
    if not older & keys[newest]:
        return f"they are of different images, so put all into one folder 'masks', or take only {choice}"
    left = len(older - keys[newest])
    if not left:
        return f"take the newest ones with {choice}"
    return (
        f"take only the newest ones with {choice} ({plural(left, 'image')} then without a label), or copy "
        f"them over those of {joined(others)} and remove {newest}"
    )


def several_folders(folder: Path, matches: Sequence[Match]) -> list[str]:
    """A note if the labels of different images are in folders such as labels and masks."""
    of_folder: dict[str, list[Path]] = {}
    for match in matches:
        name = folder_of_labels(folder, match.label)
        if role_of(name)[0] == "label":
            of_folder.setdefault(name, []).append(match.label.path)
    if len({_without_part(name) for name in of_folder}) < 2:
        return []
    held = "; ".join(f"{name} ({content_of(paths).words})" for name, paths in of_folder.items())
    return [f"the labels are in several folders: {held} (--labels FOLDER chooses one)."]


def _without_part(name: str) -> tuple[str, ...]:
    """The words of a folder's name without the part of the split: ``labelsTr`` -> labels."""
    words = [word for word in tokens_of(name) if word not in PART_NAMES]
    return tuple(
        next((w for w in LABELS if word.startswith(w) and word[len(w) :] in PART_NAMES), word)
        for word in words
    )


def suggestion(folder: Path, files: Sequence[PlacedFile]) -> str:
    """The ``--labels`` that may be meant, as the end of an error; empty if nothing looks like a mask.

    Several folders are shown with what they hold, and the folder that contains these alone.
    """
    found: dict[Path, list[Path]] = {}
    for own in mask_folders(files).values():
        paths = [file.path for file in own]
        # files of one folder name, such as a day, may lie in folders of several patients
        found.setdefault(Path(commonpath([path.parent for path in paths])), []).extend(paths)
    found.pop(folder, None)
    if len(found) < 2:
        name = next((place.name for place in found), "")
        return f" (the files of {name} look like masks: --labels {quoted(name)})" if name else ""
    held = "; ".join(f"{place.name} ({content_of(paths).words})" for place, paths in found.items())
    masks = {path for paths in found.values() for path in paths}
    above = Path(commonpath([*found]))
    within = {file.path for file in files if file.path.is_relative_to(above)}
    whole = (
        f"--labels {quoted(above.name)} takes all of them"
        if above != folder and within == masks
        else "put them into one folder 'masks' if all are right"
    )
    return f" (the files of these look like masks: {held}; --labels names one of them, or {whole})"


def folder_of_labels(folder: Path, label: PlacedFile) -> str:
    """The name of the folder that holds the labels: the innermost with that role."""
    parts = label.path.relative_to(folder).parts[:-1]
    named = [part for part in parts if role_of(part)[0] == "label"]
    return named[-1] if named else (parts[-1] if parts else ".")


def quoted(name: str) -> str:
    return f"'{name}'" if " " in name else name
