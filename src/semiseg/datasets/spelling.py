"""Names that differ only in their spelling: capitals, separators and leading zeros."""

import re
from collections.abc import Iterable, Mapping

from semiseg.datasets.roles import composed

PADDING = re.compile(r"(?<!\d)0+(?=\d)")
BETWEEN = re.compile(r"(?<=\d)[\s_\-.]+(?=\d)")  # 1-2 is not 12
SEPARATORS = re.compile(r"[\s_\-.]+")


def unpadded(name: str) -> str:
    """``name`` without leading zeros of its numbers: ``img_001`` -> ``img_1``."""
    return PADDING.sub("", name)


def spelling_key(name: str) -> str:
    """Equal for names that differ only in capitals, separators and leading zeros: ``P 01`` and ``p1``."""
    return unpadded(SEPARATORS.sub("", BETWEEN.sub("|", composed(name).casefold())) or name)


def one_spelling(names: Iterable[str]) -> Mapping[str, str]:
    """Name -> the first name of the same `spelling_key`, for names that differ from it."""
    first: dict[str, str] = {}
    chosen = {name: first.setdefault(spelling_key(name), name) for name in dict.fromkeys(names)}
    return {name: other for name, other in chosen.items() if name != other}
