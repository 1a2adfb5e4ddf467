"""Formatting of numbers and lists in messages."""

import re
from collections.abc import Iterable, Sequence

MOST_NAMED = 5
NUMBERS = re.compile(r"[+\-]?\d[\d,.]*\d|[+\-]?\d")


def one_line(text: str) -> str:
    """``text`` with unprintable characters escaped, because file names may contain any."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plural(count: int, noun: str) -> str:
    """``1 image``, ``1,312 images``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def times(shape: tuple[int, ...]) -> str:
    """A shape as text: ``10 x 256 x 256``."""
    return " x ".join(str(size) for size in shape) or "no axes"


def duration(seconds: float) -> str:
    """``95`` -> ``'1 min 35 s'``."""
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02d} min"


def joined(words: Sequence[str], last: str = "and") -> str:
    """``a, b and c``; ``last`` is the conjunction."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def listed(names: Iterable[str], most: int = MOST_NAMED) -> str:
    """``a, b, c and 12 more``."""
    words = list(names)
    left = len(words) - most
    shown = ", ".join(words[:most])
    return f"{shown} and {left:,} more" if left > 0 else shown


def kind_of(sentence: str, names: Iterable[str]) -> str:
    """A key that is equal for sentences that differ only in ``names`` (of files) and in numbers."""
    for name in sorted(filter(None, names), key=len, reverse=True):
        sentence = sentence.replace(name, "*")
    return re.sub(r"#(?:(?:, | x )#)+", "#", NUMBERS.sub("#", sentence))


def with_others(sentence: str, others: Sequence[str], noun: str = "image") -> str:
    """``sentence``, and the ``others`` of which it holds too."""
    if not others:
        return sentence
    end = "" if sentence.endswith((".", "?", "!")) else "."
    return f"{sentence}{end} The same holds for {plural(len(others), f'more {noun}')}: {listed(others)}."
