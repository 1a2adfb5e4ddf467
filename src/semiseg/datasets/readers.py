"""Readers in the names of masks: the persons who drew them."""

import dataclasses
import re
from collections.abc import Sequence
from os.path import commonprefix
from pathlib import Path

from semiseg.datasets.matching import Match
from semiseg.datasets.roles import SEPARATOR
from semiseg.errors import UserError
from semiseg.formats import stem_of
from semiseg.text import listed, plural

INITIALS = re.compile(r"[A-Z]{2,3}\d?$")
# Common abbreviations of structures that contain each other.
STRUCTURES = {"OD", "OC", "GTV", "CTV", "ITV", "PTV", "WT", "TC", "ET", "LV", "RV", "LA", "RA", "MYO",
              "WM", "GM", "CSF"}  # fmt: skip


def drawn_by(one: str, other: str) -> tuple[str, str]:
    """What each of two names has that the other lacks: ``liver`` and ``liver_MK`` -> "", "MK"."""
    words, others = _tokens(one), _tokens(other)
    known, more = {word.lower() for word in words}, {word.lower() for word in others}
    return (
        "_".join(word for word in words if word.lower() not in more),
        "_".join(word for word in others if word.lower() not in known),
    )


def choices(names: tuple[str, str], files: Sequence[Sequence[Path]]) -> list[str]:
    """The options that choose the masks of one of two names: by the reader, or by the ending of names.

    Args:
        names: the two names.
        files: the masks of each name.
    """
    found = []
    for word, own in zip(drawn_by(*names), files, strict=True):
        ending = commonprefix([stem_of(path)[::-1] for path in own])[::-1].lstrip("_-. ")  # noqa: RUF071 - names, not paths
        if word:
            found.append(f"--reader {word}")
        elif ending:
            found.append(f"--labels {ending}")
    return found


def looks_like_initials(one: str, other: str) -> bool:
    """Whether two names differ only in initials of persons (``MK``, ``HB``)."""
    different = [word for words in drawn_by(one, other) for word in words.split("_") if word]
    return bool(different) and all(
        INITIALS.match(word) and word not in STRUCTURES for word in different
    )


def masks_of_reader(matches: Sequence[Match], reader: str) -> tuple[list[Match], list[str]]:
    """The masks whose names (or folders) contain a reader, without the reader's name, and a note.

    Args:
        matches: labels with their images.
        reader: the name, one or more words.

    Raises:
        UserError: if no mask is of this reader.
    """
    wanted = {word.lower() for word in _tokens(reader)}
    own = [match for match in matches if wanted and wanted <= _lower(match.word)]
    if not own:
        words = sorted({match.word for match in matches if match.word})
        names = f" (the names of masks add {listed(words)})" if words else ""
        raise UserError(
            f"--reader {reader}: no mask has this reader in its name or folder{names}: correct it, or omit "
            "the option."
        )
    kept = {match.label.path for match in own}
    others = [match for match in matches if match.label.path not in kept]
    notes = []
    if others:
        drawn = {match.image.path for match in own}
        only = len({match.image.path for match in others} - drawn)
        tail = f"; images without one by {reader} count as unlabelled ({only:,})" if only else ""
        first = others[0].label.path
        notes.append(
            f"{plural(len(others), 'mask')} not by the reader {reader} left out (such as "
            f"{first.parent.name}/{first.name}){tail}."
        )
    return [_without(match, wanted) for match in own], notes


def _without(match: Match, wanted: set[str]) -> Match:
    words = [word for word in _tokens(match.word) if word.lower() not in wanted]
    return dataclasses.replace(match, word="_".join(words))


def _tokens(name: str) -> list[str]:
    return [token for token in SEPARATOR.split(name) if token]


def _lower(word: str) -> set[str]:
    return {token.lower() for token in _tokens(word)}
