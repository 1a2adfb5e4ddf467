"""Masks that are named by their structures, beside the image of each case, without a word for labels."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from semiseg.datasets.candidates import DERIVED
from semiseg.datasets.content import content_of
from semiseg.datasets.matching import Match
from semiseg.datasets.roles import SEPARATOR, PlacedFile, tokens_of
from semiseg.text import listed

LAST = re.compile(r"(.+)[_\-. ]+([^\W\d_]\w*?)$")
MOST_WORDS = 150  # more are names of images; TotalSegmentator has 117 structures

OWN = ""
"""The word of an image that has a name of its own in each case."""

Cases = dict[tuple[str, ...], dict[str, tuple[str, PlacedFile]]]
"""Case -> word in lower case -> word and file."""


def masks_by_content(files: Sequence[PlacedFile], notes: list[str]) -> list[Match]:
    """Matches of masks with the image beside them, judged by what the files hold.

    Files are ``P01/ct`` and ``P01/liver``, ``P01/P01`` and ``P01/liver``, or ``P01_ct`` and ``P01_liver``.
    Every case has one image, with the same word in all cases, or with a name of its own in each folder;
    files of other words must be masks.

    Args:
        files: all files.
        notes: gets a note about the masks.
    """
    for cases in _arrangements(files):
        masks, images = _kinds(cases)
        if not masks or len(images) != 1:
            continue
        beside = f"'{images[0]}'" if images[0] else "the image of each folder"
        notes.append(
            f"the labels are the files named {listed(masks)} beside {beside}, which look like masks "
            "(--labels)."
        )
        return [
            Match(file, own[images[0]][1], word, named=True)
            for own in cases.values()
            for key, (word, file) in own.items()
            if key in masks
        ]
    return []


def suggested_masks(files: Sequence[PlacedFile]) -> str:
    """What to type if some files look like masks beside several images; else empty."""
    for cases in _arrangements(files):
        masks, images = _kinds(cases)
        if masks and len(images) > 1:
            images = [word or "like their folder" for word in images]
            return (
                f"the files named {listed(masks)} look like masks, but there are {len(images)} images beside "
                f"each ({listed(images)}): keep one of them, or, if they are channels of one image, list the "
                "files in a CSV (image,image_2,label)"
            )
    return ""


def _arrangements(files: Sequence[PlacedFile]) -> Iterator[Cases]:
    """The ways in which files may form cases."""
    cases = _by_folder(files)
    yield cases
    yield _with_own_names(cases)
    yield _by_ending(files)


def _by_folder(files: Sequence[PlacedFile]) -> Cases:
    """The files of each folder, by their names without those of folders; empty if a file has none.

    A file with the name of its folder has the word `OWN`.
    """
    cases: Cases = {}
    for file in files:
        if not file.folder:
            return {}
        words = tokens_of(file.stem)
        own = next(
            (w for name in reversed(file.place[1:]) if words[: len(w := tokens_of(name))] == w), []
        )
        word = "_".join([token for token in SEPARATOR.split(file.stem) if token][len(own) :])
        cases.setdefault(file.place, {})[word.lower()] = (word, file)
    return cases


def _with_own_names(cases: Cases) -> Cases:
    """``cases`` with the word `OWN` for the one file of each that no other case has and that is no mask.

    Empty if a case has not exactly one.
    """
    counts = Counter(word for own in cases.values() for word in own)
    found: Cases = {}
    for case, own in cases.items():
        unique = [word for word in own if counts[word] == 1 or word == OWN]
        if len(unique) > 1:  # such as a misspelt structure
            unique = [word for word in unique if not content_of([own[word][1].path]).masks]
        if len(unique) != 1:
            return {}
        found[case] = {OWN if word == unique[0] else word: file for word, file in own.items()}
    return found


def _by_ending(files: Sequence[PlacedFile]) -> Cases:
    """The files of each case in one folder, by the last word of their names; empty if one has none."""
    cases: Cases = {}
    for file in files:
        found = LAST.match(file.stem)
        if found is None:
            return {}
        cases.setdefault((*file.place, found[1]), {})[found[2].lower()] = (found[2], file)
    return cases


def _kinds(cases: Cases) -> tuple[list[str], list[str]]:
    """The words of masks and those of images; both empty if no word is in every case."""
    counts = Counter(word for own in cases.values() for word in own)
    shared = {word for word, count in counts.items() if count == len(cases)}
    if len(cases) < 2 or not shared or not 1 < len(counts) <= MOST_WORDS:
        return [], []
    masks: list[str] = []
    images: list[str] = []
    for word in sorted(counts):
        own = [files[word][1].path for files in cases.values() if word in files]
        if not set(tokens_of(word)) & DERIVED:
            (masks if content_of(own).masks else images).append(word)
    return (masks, images) if shared.issuperset(images) else ([], [])
