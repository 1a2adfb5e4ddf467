"""Pairing of predicted masks with reference masks by the names of files and folders."""

import collections
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from semiseg.datasets.roles import LABEL_ENDING, composed, plain_name
from semiseg.datasets.spelling import unpadded
from semiseg.errors import UserError
from semiseg.files import walk_files
from semiseg.formats import is_image, stem_of

PREDICTED = re.compile(r"[_\-. ](?:pred|prediction)$", re.IGNORECASE)
NUMBERED = re.compile(r"[_-]\d+$")

Place = tuple[Path, str]
"""A mask, and its folder below the folder that was given (``.`` for that folder itself)."""


def pair_files(
    predictions: Path, references: Path
) -> tuple[dict[str, tuple[Path, tuple[Path, ...]]], list[str], list[str]]:
    """Pair the masks by identifier.

    Returns:
        Identifier -> (prediction, references), then the predictions and the references without a partner.

    Raises:
        UserError: if a path does not exist or contains no masks, or if two files share an identifier.
    """
    if predictions.is_file() and references.is_file():
        return {identifier_of(references): (predictions, (references,))}, [], []
    files = [_files_in(predictions), _files_in(references)]
    nested = any(map(_repeats, files))
    found, wanted = (_by_identifier(own, nested) for own in files)
    answers = {name: [wanted[name]] for name in found.keys() & wanted.keys()}
    for name in sorted(wanted.keys() - found.keys()):
        base = _of_several(name, wanted[name])
        if base in found:
            answers.setdefault(base, []).append(wanted.pop(name))
    if not answers and nested:  # the folders differ
        found, wanted = (_by_identifier(own, False) for own in files)
    for name, partner in _by_numbers(found.keys() - answers.keys(), wanted.keys() - answers.keys()):
        answers[name] = [wanted.pop(partner)]
    common = sorted(answers)
    alone = sorted(str(found[name]) for name in found.keys() - answers.keys())
    unanswered = sorted(str(wanted[name]) for name in wanted.keys() - found.keys())
    if predictions.is_file():
        unanswered = []  # other references are not asked for
    if references.is_file():
        alone = []
    return {name: (found[name], tuple(answers[name])) for name in common}, alone, unanswered


def _by_numbers(found: Collection[str], wanted: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of identifiers that differ only in the leading zeros of numbers, where no other one does."""
    ours, theirs = _unpadded(found), _unpadded(wanted)
    return [(ours[key], theirs[key]) for key in sorted(ours.keys() & theirs.keys())]


def _unpadded(names: Collection[str]) -> dict[str, str]:
    """Name without leading zeros -> name, if it is the only one."""
    counts = collections.Counter(map(unpadded, names))
    return {unpadded(name): name for name in names if counts[unpadded(name)] == 1}


def _of_several(name: str, path: Path) -> str | None:
    """The identifier of one of several masks of an image: ``x`` for ``x_mask_1.png``; None for others.

    ``name``: the identifier of ``path``, with its folders if names repeat.
    """
    stem = stem_of(path)
    bare = NUMBERED.sub("", stem)
    if bare == stem or _without_ending(bare) == bare:
        return None
    own = identifier_of(path.with_name(bare + path.name[len(stem) :]))
    return "/".join([*name.split("/")[:-1], own])


def identifier_of(path: Path) -> str:
    """``patient001_frame01_gt.nii.gz`` -> ``patient001_frame01``; ``Mask of a.tif`` -> ``a``."""
    return _without_ending(plain_name(composed(stem_of(path))))


def differ_in_padding(prediction: Path, reference: Path) -> bool:
    """Whether the identifiers of two masks differ in the leading zeros of numbers alone."""
    names = (identifier_of(prediction), identifier_of(reference))
    return names[0] != names[1] and unpadded(names[0]) == unpadded(names[1])


def _without_ending(stem: str) -> str:
    """``stem`` without a word for labels or predictions at its end."""
    return PREDICTED.sub("", LABEL_ENDING.sub("", stem)) or stem


def _files_in(path: Path) -> list[Place]:
    """The masks in a folder and its sub-folders, or the one file.

    Raises:
        UserError: if the path does not exist, or contains no masks.
    """
    if path.is_file():
        return [(path, ".")]
    if not path.is_dir():
        raise UserError(f"{path} does not exist: give a folder of masks, or one mask.")
    found = [(f, f.relative_to(path).parent.as_posix()) for f in walk_files(path) if is_image(f)]
    if not found:
        raise UserError(
            f"{path} contains no masks: give a folder of volumes (such as .nii.gz) or pictures (.png)."
        )
    return found


def _repeats(places: Sequence[Place]) -> bool:
    """Whether files in several folders have the same identifier."""
    folders: dict[str, set[str]] = {}
    for file, folder in places:
        folders.setdefault(identifier_of(file), set()).add(folder)
    return any(len(own) > 1 for own in folders.values())


def _by_identifier(places: Sequence[Place], nested: bool) -> dict[str, Path]:
    """Identifier -> mask. If an image and its mask share an identifier, the name with an ending is used.

    ``nested``: whether identifiers contain the folders.
    """
    groups: dict[str, list[Path]] = collections.defaultdict(list)
    for file, folder in places:
        own = identifier_of(file)
        below = composed(folder)
        groups[f"{below}/{own}" if nested and folder != "." else own].append(file)
    return {name: _only(name, files) for name, files in groups.items()}


def _only(name: str, files: list[Path]) -> Path:
    marked = [file for file in files if stem_of(file) != name.rpartition("/")[2]]
    chosen = marked if len(files) > 1 and marked else files
    if len(chosen) > 1:
        raise UserError(
            f"{chosen[0]} and {chosen[1]} have the same name '{name}': remove one of them, or use the "
            "same sub-folders for masks and references. To score data with one mask per class, use 'semiseg "
            "evaluate RUN'."
        )
    return chosen[0]
