"""Several masks of one image: objects of one class, or one mask per named structure."""

import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path

from semiseg.datasets.matching import Match
from semiseg.datasets.versions import check_versions, without_version
from semiseg.errors import UserError
from semiseg.text import joined, listed, plural

Masks = dict[Path, tuple[tuple[str, Path], ...]]
"""Image -> class name and file of each of its masks."""

MOST_CLASSES = 254  # 255 is the value of ignored pixels
FEWEST_ALIKE = 5  # images with the same numbers, from which the numbers are names and not counts
MISSPELT = 0.85  # ratio of equal letters
NUMBER = re.compile(r"(.*?)[_\-. ]*(\d+)$")
PEOPLE = re.compile(
    r"(?:^|_)(?:\d+(?:st|nd|rd|th)\w*|(?:rater|reader|annotator|expert|observer|obs|grader|radiologist"
    r"|physician|doctor)\d*)(?:_|$)",
    re.IGNORECASE,
)
IDENTIFIER = re.compile(r"(?=.*\d)(?:[0-9a-f]{8,}|\w{16,})$", re.IGNORECASE)


def masks_of_images(
    matches: Sequence[Match], classes: Sequence[str] | None
) -> tuple[Masks, list[str]]:
    """The masks of every image that has several or whose mask is named by a class, and notes.

    A name that only adds a number to that of the image is another object of the same class. Names that
    look like identifiers are objects, other names are structures.

    Args:
        matches: labels with their images.
        classes: class names that the user gave.

    Raises:
        UserError: if the meaning of several masks is open.
    """
    of_image: dict[Path, list[Match]] = {}
    for match in matches:
        of_image.setdefault(match.image.path, []).append(match)
    _check_people(of_image)
    check_versions(of_image)
    spelling: dict[str, str] = {}  # names that differ only in case are one structure

    def plain(match: Match) -> Match:
        word = without_version(match.word)
        return dataclasses.replace(match, word=spelling.setdefault(word.lower(), word))

    of_image = {image: [plain(match) for match in found] for image, found in of_image.items()}
    matches = [match for found in of_image.values() for match in found]
    words = Counter(word for found in of_image.values() for word in _names(found))
    several = any(len(found) > 1 for found in of_image.values())
    if not several and not any(match.named and _word(match) for match in matches):
        _check_single(of_image, words, classes)
        if len(words) < 2 or not {name.lower() for name in classes or ()} & _lower(words):
            return {}, []
    objects = [word for word in words if IDENTIFIER.search(word)]
    if len(objects) == len(words):
        return _united(of_image)
    _check_named(of_image, objects)
    names, notes = _class_names(of_image, words, _lower(classes or ()))
    if len(set(names.values())) > MOST_CLASSES:
        raise UserError(
            f"The masks have {len(set(names.values())):,} names (such as {listed(sorted(words))}), more "
            f"than the {MOST_CLASSES} possible classes: put the masks of an image into a folder with the "
            "image's name if they are objects of one class."
        )
    masks = {
        image: tuple(sorted((names[_word(match)], match.label.path) for match in found))
        for image, found in of_image.items()
    }
    named = [{name for name, _ in own} for own in masks.values()]
    return masks, [*notes, *notes_on_absent(named)]


def _word(match: Match) -> str:
    """The match's word; empty if it is only a number."""
    return "" if match.word.replace("_", "").isdecimal() else match.word


def _names(matches: Sequence[Match]) -> set[str]:
    return {word for match in matches if (word := _word(match))}


def _lower(words: Sequence[str] | Mapping[str, int]) -> set[str]:
    return {word.lower() for word in words}


def _united(of_image: Mapping[Path, Sequence[Match]]) -> tuple[Masks, list[str]]:
    """All masks of an image are objects of one class."""
    _check_one_name(of_image)
    masks = {
        image: tuple(sorted(("", match.label.path) for match in found))
        for image, found in of_image.items()
        if len(found) > 1
    }
    first = next(iter(masks.values()), None)
    if first is None:
        return {}, []
    have = "has" if len(masks) == 1 else "have"
    return masks, [
        f"{plural(len(masks), 'image')} {have} several masks (such as {first[0][1].name} and "
        f"{first[1][1].name}), which are united: all are of one class."
    ]


def _check_people(of_image: Mapping[Path, Sequence[Match]]) -> None:
    """Check that the masks of an image are not those of several persons.

    Raises:
        UserError: if their names look so.
    """
    for image, found in of_image.items():
        people = [match.label.path.name for match in found if PEOPLE.search(match.word)]
        if len(people) > 1:
            ending = next(m.word for m in found if PEOPLE.search(m.word))
            raise UserError(
                f"{image.name} has several annotations of the same structure ({joined(people)}): choose "
                f"the masks with --labels, by the ending of their names, such as --labels {ending}."
            )


def _check_one_name(of_image: Mapping[Path, Sequence[Match]]) -> None:
    """Check that at most one mask of an image has the image's own name.

    Raises:
        UserError: if two have.
    """
    for found in of_image.values():
        plain = [match.label.path for match in found if not match.word]
        if len(plain) > 1:
            raise UserError(
                f"{plain[0]} and {plain[1]} are labels of the same image, and their names do not say "
                "what differs: merge them, remove one, or choose with --labels FOLDER."
            )


def _check_single(
    of_image: Mapping[Path, Sequence[Match]],
    words: Mapping[str, int],
    classes: Sequence[str] | None,
) -> None:
    """Check images with one mask each: their names must not differ like those of structures.

    Raises:
        UserError: if they do and the user has not named them.
    """
    groups = {word: count for word, count in words.items() if count > 1}
    if len(groups) < 2 or sum(groups.values()) < len(of_image):
        return
    if _lower(groups) & _lower(classes or ()):
        return
    first, second = sorted(groups)[:2]
    raise UserError(
        f"{groups[first]:,} masks are named '{first}' and {groups[second]:,} '{second}': name them with "
        f"--classes {','.join(sorted(groups))} if they are different structures, or give all the same name."
    )


def _check_named(of_image: Mapping[Path, Sequence[Match]], objects: Sequence[str]) -> None:
    """Check that every mask is of a named structure.

    Raises:
        UserError: for a mask without a name, or with the name of an object.
    """
    _check_one_name(of_image)
    every = [match for found in of_image.values() for match in found]
    other = next(match for match in every if _word(match) and _word(match) not in objects)
    odd = next((m for m in every if not _word(m) or _word(m) in objects), None)
    if odd is not None:
        raise UserError(
            f"{other.label.path} is a mask of '{_word(other)}', but the name of {odd.label.path} names no "
            "structure: name the structure of every mask, or remove the masks of one kind."
        )


def _class_names(
    of_image: Mapping[Path, Sequence[Match]], words: Mapping[str, int], given: set[str]
) -> tuple[dict[str, str], list[str]]:
    """The class of each word: the word itself, or the word without the number at its end.

    Raises:
        UserError: if numbers may be names (``vertebra_1``) or counts (``lesion_1``).
    """
    groups: dict[str, list[str]] = {}
    for word in sorted(words):
        found = NUMBER.match(word)
        groups.setdefault(found[1] if found and found[1] else word, []).append(word)
    others = any(own == [base] for base, own in groups.items())
    names: dict[str, str] = {}
    notes: list[str] = []
    for base, own in groups.items():
        numbers = [_numbers(found, base) for found in of_image.values()]
        having = [found for found in numbers if found]
        counted = all(found in (set(range(len(found))), set(range(1, len(found) + 1)),
                                {0, *range(2, len(found) + 1)}) for found in having)  # fmt: skip
        alike = all(found == having[0] for found in having)
        if len(own) == 1 or _lower(own) & given - {base.lower()} or not counted:
            names |= {word: word for word in own}
        elif base.lower() in given or not alike:
            names |= dict.fromkeys(own, base)
        elif others or len(having) >= FEWEST_ALIKE:
            names |= {word: word for word in own}
        elif len(having) == 1:
            names |= dict.fromkeys(own, base)
        else:
            raise UserError(
                f"The masks {listed(own, 3)} may be objects of one class or different structures: give "
                f"--classes {base} or --classes {','.join(own)}."
            )
        if len(own) > 1 and names[own[0]] == base:
            notes.append(
                f"the masks {listed(own, 3)} are of one class, '{base}' (--classes with their full "
                "names separates them)."
            )
    return names, notes


def _numbers(matches: Sequence[Match], base: str) -> set[int]:
    """The numbers after ``base`` in the words of an image's masks; 0 for none."""
    out = set()
    for word in _names(matches):
        found = NUMBER.match(word)
        if word == base:
            out.add(0)
        elif found and found[1] == base:
            out.add(int(found[2]))
    return out


def notes_on_absent(classes_of: Sequence[Collection[str]]) -> list[str]:
    """A note about labelled images without a mask of a class that others have.

    Args:
        classes_of: the names of the classes that have a mask, for each labelled image.
    """
    counts = Counter(name for own in classes_of for name in set(own))
    total = len(classes_of)
    lacking = {name: total - count for name, count in counts.items() if count < total}
    if not lacking:
        return []
    words = listed(f"{name} in {count:,}" for name, count in sorted(lacking.items()))
    alike = [
        f"{one} and {other}"
        for one, other in combinations(sorted(lacking), 2)
        if _differ_in_letters(one, other)
        and not any({one, other} <= set(own) for own in classes_of)
    ]
    typed = f"; if {listed(alike)} are one structure, give its masks one name" if alike else ""
    return [
        f"a class without a mask counts as absent ({words} of {plural(total, 'labelled image')}): "
        f"leave out images in which a structure was not drawn{typed}."
    ]


def _differ_in_letters(one: str, other: str) -> bool:
    """Whether two names differ in about a letter, as by a typing mistake, and not in numbers."""
    numbers = [re.findall(r"\d+", name) for name in (one, other)]
    ratio = SequenceMatcher(None, one.lower(), other.lower()).ratio()
    return numbers[0] == numbers[1] and min(len(one), len(other)) > 3 and ratio > MISSPELT
