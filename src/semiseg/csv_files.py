"""CSV files whose names spreadsheets show as text, and never run as formulas."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from semiseg.errors import UserError
from semiseg.files import is_special

FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""The first characters of a cell that a spreadsheet may take for a formula, and the mark itself."""


def to_cell(value: Any) -> Any:
    """Mark a text that a spreadsheet would take for a formula with a leading ``'``.

    Numbers, also those that are given as a text, are unchanged.
    """
    if not isinstance(value, str) or not value.startswith(FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def from_cell(text: str) -> str:
    """The inverse of `to_cell`."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def write_rows(path: Path, rows: Iterable[Sequence[Any]], append: bool = False) -> None:
    """Write or append rows of a table.

    Raises:
        OSError: if the file cannot be written.
    """
    # a file's name need not be text
    with path.open(
        "a" if append else "w", newline="", encoding="utf-8", errors="backslashreplace"
    ) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([to_cell(value) for value in row] for row in rows)


def read_csv(path: Path, needed: Sequence[str] = (), remedy: str = "") -> list[dict[str, Any]]:
    """Read the rows of a table that has a header. A row of a cut file lacks columns (None).

    Args:
        path: the file.
        needed: columns that it must have, unless it is empty.
        remedy: the end of the message; default: to delete the file.

    Raises:
        UserError: if the file cannot be read, or lacks a column.
    """
    remedy = remedy or "delete it or restore it"
    try:
        if is_special(path):
            raise OSError(f"{path} is not a regular file")
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [{_plain(k): _plain(v) for k, v in row.items()} for row in reader]
            columns = [_plain(name) for name in reader.fieldnames or ()]
    except (OSError, ValueError, csv.Error):
        raise UserError(f"{path} is damaged (it is not a table): {remedy}.") from None
    lacking = [name for name in needed if name not in columns]
    if columns and lacking:
        raise UserError(f"{path} is damaged (it has no column '{lacking[0]}'): {remedy}.")
    return rows


def _plain(cell: Any) -> Any:
    return from_cell(cell) if isinstance(cell, str) else cell
