"""Numbers of labelled patients, as in ``--labelled``: ``7``, ``10%``, ``all``, or a list in a file.

A number and ``all`` are never the name of a file. A file of such a name is given with its folder: ``./7``.
"""

import re
from pathlib import Path

from semiseg.errors import UserError
from semiseg.files import is_file
from semiseg.text import plural

MOST = 10**9  # patients
_NUMBER = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)\s*(%?)")


def names_a_file(text: str) -> bool:
    """Whether a budget is the path of a list of patients, and neither a number nor ``all``."""
    text = text.strip()
    return text.lower() != "all" and _NUMBER.fullmatch(text) is None


def plain_budget(text: str) -> str:
    """The usual form of a budget: ``7`` for ``07`` and ``7.0``, ``10%`` for ``10 %``, ``all`` for ``ALL``.

    Of a list of patients, the absolute path. The value is not checked.
    """
    text = text.strip()
    number = _NUMBER.fullmatch(text)
    if number is None:
        return (
            "all" if text.lower() == "all" else str(Path(text).resolve()) if is_file(text) else text
        )
    whole, _, fraction = number[1].partition(".")
    digits = whole.lstrip("-").lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{digits}{'.' if fraction else ''}{fraction}{number[2]}"


def parse_budget(text: str, available: int) -> int | list[str]:
    """Parse ``--labelled``: ``7``, ``10%``, ``all``, or a text file of patients.

    Args:
        text: the option's value.
        available: number of labelled training patients, which is 100%.

    Raises:
        UserError: for other values, a budget of 0, or more patients than available.
    """
    text = text.strip()
    if text.lower() == "all":
        return available
    number = _NUMBER.fullmatch(text)
    if number is None:
        return _listed(text)
    value = float(number[1])
    if number[2]:
        if not 0 < value <= 100:
            raise UserError(f"--labelled {text[:60]}: give a percentage above 0 and up to 100%.")
        return max(int(available * value / 100 + 0.5), 1)
    if abs(value) > MOST:
        raise UserError(
            f"--labelled {text[:20]}: give a whole number of patients, 1 to {available}."
        )
    if value != int(value) or value < 1:
        raise UserError(f"--labelled {text}: give a whole number of patients, 1 or more.")
    return at_most(int(value), available)


def _listed(text: str) -> list[str]:
    """The patients in a text file: one per line, or separated by commas or spaces; # begins a comment."""
    if not is_file(text):
        raise UserError(
            f"--labelled {text[:200]}: give a number such as 7, a percentage such as 10%, all, or a text "
            "file of patients."
        )
    path = Path(text)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{path} cannot be read as text: write one patient per line.") from None
    words = [word for line in lines for word in re.split(r"[,\s]+", line.partition("#")[0]) if word]
    if not words:
        raise UserError(f"{path} names no patient: write one patient per line.")
    for word in words:
        if words.count(word) > 1:
            raise UserError(f"{path} names patient '{word}' twice: name each patient once.")
    return words


def at_most(budget: int, available: int) -> int:
    """Check that a number of patients is available, and return it; raises `UserError` if not."""
    if budget > available:
        raise UserError(
            f"--labelled asks for {plural(budget, 'patient')}, but the training part has only "
            f"{available} with labels: use at most {available}."
        )
    return budget
