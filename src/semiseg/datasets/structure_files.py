"""Masks that are named by their structures, beside the image of each case, without a word for labels."""

import re
from collections import Counter
from collections.abc import Sequence

from semiseg.datasets.candidates import DERIVED
from semiseg.datasets.content import content_of
from semiseg.datasets.matching import Match
from semiseg.datasets.roles import PlacedFile, tokens_of
from semiseg.text import listed

LAST = re.compile(r"(.+)[_\-. ]+([^\W\d_]\w*?)$")
MOST_WORDS = 150  # more are names of images; TotalSegmentator has 117 structures

Cases = dict[tuple[str, ...], dict[str, tuple[str, PlacedFile]]]
"""Case -> word in lower case -> word and file."""


def masks_by_content(files: Sequence[PlacedFile], notes: list[str]) -> list[Match]:
    """Matches of masks with the image beside them, judged by what the files hold.

    Files are ``P01/ct`` and ``P01/liver``, or ``P01_ct`` and ``P01_liver``. Every case has one image, with
    the same word in all cases; files of other words must be masks.

    Args:
        files: all files.
        notes: gets a note about the masks.
    """
    for cases in (_by_folder(files), _by_ending(files)):
        masks, images = _kinds(cases)
        if not masks or len(images) != 1:
            continue
        notes.append(
            f"the labels are the files named {listed(masks)} beside '{images[0]}', which look like masks "
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
    for cases in (_by_folder(files), _by_ending(files)):
        masks, images = _kinds(cases)
        if masks and len(images) > 1:
            return (
                f"the files named {listed(masks)} look like masks, but there are {len(images)} images beside "
                f"each ({listed(images)}): keep one of them, or, if they are channels of one image, list the "
                "files in a CSV (image,image_2,label)"
            )
    return ""


def _by_folder(files: Sequence[PlacedFile]) -> Cases:
    """The files of each folder, by their names without that of the folder; empty if a file has none."""
    cases: Cases = {}
    for file in files:
        if not file.folder:
            return {}
        begins = file.word.startswith(file.folder.lower())
        word = file.stem[len(file.folder) * begins :].strip("_-. ") or file.stem
        cases.setdefault(file.place, {})[word.lower()] = (word, file)
    return cases


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
