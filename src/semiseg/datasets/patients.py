"""Patients in the names of images."""

import re
from collections.abc import Iterable, Sequence

from semiseg.datasets.base import ENDINGS, patient_of
from semiseg.datasets.pairs import Pair

BIDS = re.compile(r"^(sub-[A-Za-z0-9]+)(?:_|$)")
# What may follow the patient, if several images share what is before it.
DATE = r"(?:(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|(?:19|20)\d\d[\-.]\d\d[\-.]\d\d"
DATE += r"|(?:0[1-9]|[12]\d|3[01])[\-.](?:0[1-9]|1[0-2])[\-.](?:19|20)\d\d)"
TIME = r"(?:[T_\- ]?\d\d[\-.:]?\d\d(?:[\-.:]?\d\d)?)"
WEAK = re.compile(
    r"[_\-. ](?:(?:t|tp|v|m|w|fu|timepoint|week|wk|month|day|year|scan|exam|study|visit|session|ses|run|date"
    r"|vid|video|clip|seq|sequence|cine|loop|acq|acquisition|visite|untersuchung|aufnahme"
    r"|fov|roi|field|crop|patch|region|pos|position|series|s|z|x|y|c|ch|row|col)"
    r"[_\-]?\d+|tile(?:[_\-]?\d+){1,2}|baseline|bl|follow[_\-]?up[_\-]?\d*|fu|pre|post|prior|current|before"
    r"|after|pre[_\-]?op|post[_\-]?op|left|right|l|r|od|os|links|rechts|gauche|droite|[a-d]"
    r"|[234]ch|a[2345]c|cc|mlo|ml|lm|lcc|rcc|lmlo|rmlo|ap|pa|lat|lateral|axial|sagittal|coronal|frontal"
    rf"|{DATE}{TIME}?(?:[_\-. ][^\W\d_]+)?|t1w?|t2w?|flair|pd|dwi|adc|ct|mr|mri|pet)$"
    r"|\s*\[[^\]]*\]$",
    re.IGNORECASE,
)
VIEW = r"(?:left|right|l|r|od|os|cc|mlo|ml|lm|lcc|rcc|lmlo|rmlo|ap|pa|lat|axial|sagittal|coronal)"
FRONT = re.compile(  # a date or a side before the patient; a number before views alone is the patient
    rf"^(?:{DATE}{TIME}?[_\-. ]+(?!{VIEW}(?:[_\-. ]{VIEW})*$)"
    r"|(?:left|right|baseline|follow[_\-]?up|pre|post|pre[_\-]?op|post[_\-]?op)[_\-. ]+(?=\w*\d))(?=.)",
    re.IGNORECASE,
)
DAY = re.compile(DATE)
SIDE = re.compile(r"(?<=\d)[LR]$")  # 01L and 01R
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
    (``P01``), if every image is in one and several share one; the subject of a name of BIDS; the folder,
    without endings such as ``_20240115`` that several have, if images in several folders have equal names;
    the name without endings such as ``_frame01`` (pictures: if several share it); the name without
    endings such as ``_baseline``, ``_t1``, ``_left``, if several images share it and not all of them are
    then one patient; the name.

    Raises:
        UserError: as in `patient_of`.
    """
    names = [pair.identifier for pair in pairs]
    prefixes = [pair.prefix for pair in pairs]
    if pattern is None and (persons := _persons([p.place for p in pairs])):
        return persons
    return patients_in(names, prefixes, pattern, pictures)


def _persons(places: Sequence[tuple[str, ...]]) -> list[str] | None:
    """The folder of each image that names a person; None if one has none, or all have one each."""
    persons = []
    for place in places:
        words = [_without_endings(folder) for folder in place]
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
    loose = [_without_endings(name) for name in names]
    if len(set(loose)) < 2:
        return list(own)
    shared = _shared([_without_endings(name) for name in dict.fromkeys(names)])
    return [stem if stem in shared else name for stem, name in zip(loose, own, strict=True)]


def _without_endings(name: str) -> str:
    """``name`` without all endings."""
    while True:
        shorter = FRONT.sub("", SIDE.sub("", WEAK.sub("", ENDINGS.sub("", name))))
        if shorter == name or not shorter:
            return name
        name = shorter
