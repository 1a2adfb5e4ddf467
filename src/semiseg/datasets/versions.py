"""Versions of a mask in the names of files and folders: ``masks_corrected``, ``x_mask_v2``, ``x_seg_neu``."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from semiseg.datasets.matching import Match
from semiseg.errors import UserError
from semiseg.text import joined, plural

_OLDER = (
    r"draft|old|backup|bak|copy|original|entwurf|alt|alte|kopie|sicherung|brouillon|ancien(?:ne)?s?|copie"
    r"|sauvegarde|borrador|viej[oa]s?|antigu[oa]s?|copia|respaldo"
)
_NEWER = (
    r"(?:v|ver|version|rev|revision)_?\d+|final|new|edited|corr|correct|corrected|corrections?|fixed|refined"
    r"|revised|reviewed|approved|checked|verified|neu|neue|bearbeitet|korrigierte?|korrekture?n?|korr|geprüft"
    r"|geprueft|überarbeitet|ueberarbeitet|freigegeben|endgültig|nouveaux?|nouvelles?|corrigée?s?|corrigees?"
    r"|corriges?|modifiée?s?|modifiees?|vérifiée?s?|verifiees?|validée?s?|nuev[oa]s?|corregid[oa]s?"
    r"|correcci[oó]n(?:es)?|editad[oa]s?|revisad[oa]s?|verificad[oa]s?|validad[oa]s?"
)
VERSION = re.compile(rf"(?:^|_)(?:{_NEWER}|{_OLDER})(?=_|$)", re.IGNORECASE)
OLDER = re.compile(rf"(?:^|_)(?:{_OLDER})(?=_|$)", re.IGNORECASE)
SEPARATOR = re.compile(r"[_\-. ]+")


def without_version(word: str) -> str:
    """``word`` without words for a version; ``liver_v2`` -> ``liver``."""
    return VERSION.sub("", word).strip("_")


def check_versions(of_image: Mapping[Path, Sequence[Match]]) -> None:
    """Check that the masks of an image are not versions of one mask.

    Args:
        of_image: the masks of each image.

    Raises:
        UserError: if the names of two differ only in words such as ``v2`` or ``final``.
    """
    for found in of_image.values():
        groups: dict[str, list[Match]] = {}
        for match in found:
            groups.setdefault(without_version(match.word), []).append(match)
        for own in groups.values():
            versions = [match for match in own if VERSION.search(match.word)]
            if len(own) < 2 or not versions:
                continue
            paths = [match.label.path for match in own]
            same = len({path.name for path in paths}) < len(paths)
            names = joined(
                [f"{path.parent.name}/{path.name}" if same else path.name for path in paths]
            )
            newest = next((m for m in reversed(versions) if not OLDER.search(m.word)), None)
            raise UserError(
                f"{own[0].image.path.name} has several versions of the same mask ({names}): remove all but "
                f"one{'' if newest is None else _choice(newest, same, of_image)}."
            )


def _choice(newest: Match, by_folder: bool, of_image: Mapping[Path, Sequence[Match]]) -> str:
    """The option that chooses the newest version, and how many images have none."""
    word = newest.word
    without = sum(all(match.word != word for match in found) for found in of_image.values())
    left = f" (the masks of {plural(without, 'image')} without this version then do not count)"
    stem = newest.label.stem
    name = newest.label.path.parent.name if by_folder else stem[stem.rfind(word.split("_")[0]) :]
    option = f"--labels '{name}'" if " " in name else f"--labels {name}"
    how = f"with {option}" if by_folder else f"by the ending of their names, such as {option}"
    return f", or choose {how}{left if without else ''}"


def newest_folder(names: Sequence[str]) -> str | None:
    """The newest of folders whose names are versions of one: ``masks``, ``masks_corrected``.

    None if the names differ in other words, or if no name says which is newer.
    """
    words = {name: SEPARATOR.sub("_", name) for name in names}
    if len({without_version(word).lower() for word in words.values()}) > 1:
        return None
    newer = [n for n, word in words.items() if VERSION.search(word) and not OLDER.search(word)]
    plain = [name for name, word in words.items() if not VERSION.search(word)]
    older = len(names) - len(newer) - len(plain)
    if newer:
        return max(newer)
    return plain[0] if plain and older else None
