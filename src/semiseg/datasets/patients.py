"""Patients in the names of images."""

import re
from collections.abc import Iterable, Sequence

from semiseg.datasets.base import patient_of
from semiseg.datasets.pairs import Pair
from semiseg.datasets.patient_endings import DAY, is_ending, without_endings
from semiseg.datasets.spelling import spelling_key

BIDS = re.compile(r"^(sub-[A-Za-z0-9]+)(?:_|$)")
PERSON = re.compile(
    r"(?:(?:sub|subj|subject|pat|patient|case|person|proband|participant|volunteer|donor|animal|mouse|rat"
    r"|specimen|id|p)[_\-. ]*[A-Za-z]{0,4}[_\-]?\d+|\d{2,})$",
    re.IGNORECASE,
)
NUMBER = re.compile(r"^(.*\d.*)[_\-. ][A-Za-z]{0,3}\d+$")
FEWEST_FOLDERS = 5  # with fewer, folders are rather classes or sites than patients


def patients_of(pairs: Sequence[Pair], pattern: str | None, pictures: bool = False) -> list[str]:
    """The patient of every image.

    With a ``pattern``, see `patient_of`. Otherwise, in this order: the folder that names a person
    (``P01``), if every image is in one and several share one; the file of such a name, if several folders
    have equal names; the name without its folder, if all folders are visits or kinds of images; the subject
    of a name of BIDS; the folder, without endings such as ``_20240115`` that several have, if images in
    several folders have equal names; the name without endings such as ``_frame01`` (pictures: if several
    share it); the name without endings such as ``_baseline``, ``_t1``, ``_left``, ``_img3``, if several
    images share it and not all of them are then one patient; the name.

    Raises:
        UserError: as in `patient_of`.
    """
    names = [pair.identifier for pair in pairs]
    prefixes = [pair.prefix for pair in pairs]
    if pattern is None and (persons := _persons([p.place for p in pairs])):
        return persons
    if pattern is None and all(prefixes):  # files of equal names in several folders
        own = [pair.identifier.removeprefix(f"{pair.prefix}_") for pair in pairs]
        persons = _persons([(name,) for name in own])
        if persons and not any(person.isdecimal() for person in persons):
            return persons
        if all(is_ending(folder) for pair in pairs for folder in pair.place):
            names, prefixes = own, [""] * len(own)
    return patients_in(names, prefixes, pattern, pictures)


def _persons(places: Sequence[tuple[str, ...]]) -> list[str] | None:
    """The folder of each image that names a person; None if one has none, or all have one each."""
    persons = []
    for place in places:
        words = [without_endings(folder, general=True) for folder in place]
        person = next((w for w in words if PERSON.match(w) and not DAY.fullmatch(w)), None)
        if person is None:
            return None
        persons.append(person)
    numbers = all(person.isdecimal() for person in persons)
    few = len(set(persons)) < (FEWEST_FOLDERS if numbers else 2)
    return None if few or len(set(persons)) == len(persons) else persons


def patients_in(
    names: Sequence[str],
    folders: Sequence[str],
    pattern: str | None = None,
    pictures: bool = False,
) -> list[str]:
    """The patient of every name; see `patients_of`.

    Args:
        names: identifiers of images.
        folders: the folder of each image, if images in several folders have equal names; else empty.
        pattern: see `patient_of`.
        pictures: whether the images are pictures.

    Raises:
        UserError: as in `patient_of`.
    """
    if pattern is not None:
        return [patient_of(name, pattern) for name in names]
    subjects = [BIDS.match(name) for name in names]
    if all(subjects):
        return [subject[1] for subject in subjects if subject]
    if "" not in folders and len(set(folders)) >= FEWEST_FOLDERS:
        return _without_shared_endings(folders, folders)
    strict = [patient_of(name, None) for name in names]
    if pictures:
        shared = _shared(strict)
        strict = [stem if stem in shared else n for stem, n in zip(strict, names, strict=True)]
    return _without_shared_endings(names, strict)


def shared_stems(names: Iterable[str]) -> dict[str, list[str]]:
    """Names that look like slices of one patient (``p1_1``, ``p1_2``), by what they share.

    Empty if nothing indicates that: one stem for all names, or shared stems for fewer than half of them.
    """
    groups: dict[str, list[str]] = {}
    distinct = sorted(set(names))
    for name in distinct:
        found = NUMBER.match(name)
        groups.setdefault(found[1] if found else name, []).append(name)
    several = {stem: own for stem, own in groups.items() if len(own) > 1}
    if len(groups) < 2 or sum(map(len, several.values())) < len(distinct) / 2:
        return {}
    return several


def _shared(stems: Sequence[str]) -> set[str]:
    """Stems that occur more than once."""
    seen: set[str] = set()
    return {stem for stem in stems if stem in seen or seen.add(stem)}  # type: ignore[func-returns-value]


def _without_shared_endings(names: Sequence[str], own: Sequence[str]) -> list[str]:
    """Names without endings such as ``_t1``, where names that differ become equal; else ``own``.

    All of ``own`` if they would all become one.
    """
    of_name = dict(zip(dict.fromkeys(names), _stems(list(dict.fromkeys(names))), strict=True))
    loose = [of_name[name] for name in names]
    if len(set(loose)) < 2:
        return list(own)
    shared = _shared([spelling_key(stem) for stem in of_name.values()])  # P01_pre and p1_post
    return [
        stem if spelling_key(stem) in shared else name
        for stem, name in zip(loose, own, strict=True)
    ]


def _stems(names: Sequence[str]) -> list[str]:
    """Names without endings; without ``image3`` only after the number of a person, or of many things.

    ``batch1_image3`` and ``batch2_image3`` are images of different patients.
    """
    plain = [without_endings(name) for name in names]
    bare = [without_endings(name, general=True) for name in names]
    numbered = {stem for stem in bare if any(sign.isdecimal() for sign in stem)}
    several = len(numbered & _shared(bare)) >= FEWEST_FOLDERS
    return [
        short if short in numbered and (several or PERSON.match(short)) else own
        for short, own in zip(bare, plain, strict=True)
    ]
