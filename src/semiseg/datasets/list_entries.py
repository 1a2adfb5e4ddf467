"""The rows of a list of images: a CSV file, also as spreadsheets write it, or a JSON file."""

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from semiseg.errors import UserError, unknown
from semiseg.json_text import TwiceError, parse_json
from semiseg.text import joined

COLUMNS = ("image", "label", "patient", "part", "identifier")
CHANNEL_COLUMN = re.compile(r"image_([2-9]|[1-9]\d+)$")
SEPARATOR = re.compile(r"sep=(.)\s*")  # the first line of some exports of Excel

Entry = tuple[tuple[str, ...], dict[str, str], str]
"""Image files in the order of the channels, the other columns, and the row's name in messages."""


def entries_of(path: Path) -> Iterator[Entry]:
    """The rows of a list. Names of columns may be in capitals.

    Raises:
        UserError: for a file that is not CSV or JSON, an unknown or repeated column, and a row without
            an image or with another number of columns.
    """
    return _csv(path) if path.suffix.lower() == ".csv" else _json(path)


def _csv(path: Path) -> Iterator[Entry]:
    try:
        rows = _text(path).splitlines()
        given = SEPARATOR.fullmatch(rows[0]) if rows else None
        first = rows[0] if rows else ""
        # spreadsheets in some languages write ;
        delimiter = given.group(1) if given else max(",;\t", key=first.count)
        lines = list(csv.reader(rows[1:] if given else rows, delimiter=delimiter, strict=True))
    except (OSError, UnicodeError, csv.Error):
        raise UserError(
            f"{path} cannot be read as CSV text: save it again as UTF-8 (in Excel: CSV UTF-8)."
        ) from None
    header = [_plain(name) for name in lines[0]] if lines else []
    _check_columns(path, header, lines[0] if lines else [])
    channels = [name for name in header if CHANNEL_COLUMN.fullmatch(name)]
    order = ["image", *sorted(channels, key=lambda name: int(name[6:]))]
    for number, cells in enumerate(lines[1:], 3 if given else 2):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path}, line {number},"
        if len(cells) != len(header):
            raise UserError(
                f"{where} has {len(cells)} columns but the header has {len(header)}: correct it."
            )
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        images = tuple(row[name] for name in order)
        if not all(images):
            raise UserError(f"{where} has an empty image: name a file for every channel.")
        yield images, {name: row.get(name, "") for name in COLUMNS[1:]}, where


def _text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 as Excel writes 'Unicode text'."""
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")


def _json(path: Path) -> Iterator[Entry]:
    """Rows of a JSON list of objects of strings; ``image`` may be a list, one file per channel."""
    try:
        content = parse_json(path.read_text(encoding="utf-8-sig"))
    except TwiceError as error:
        raise UserError(f"{path}: {error} in one entry: keep one of them.") from None
    except (OSError, ValueError):
        raise UserError(f"{path} cannot be read as JSON: save it again.") from None
    if not isinstance(content, list):
        raise UserError(
            f'{path} is not a list: write [{{"image": "a.nii.gz", "label": "b.nii.gz"}}, ...].'
        )
    for number, row in enumerate(content, 1):
        where = f"{path}, entry {number},"
        if not isinstance(row, Mapping):
            raise UserError(f'{where} is not an object: write {{"image": "a.nii.gz"}}.')
        _check_columns(path, [_plain(name) for name in row], list(row))
        row = {_plain(name): value for name, value in row.items() if value is not None}
        images = row.pop("image", None)
        images = images if isinstance(images, list) else [images]
        more = sorted((n for n in row if CHANNEL_COLUMN.fullmatch(n)), key=lambda n: int(n[6:]))
        images += [row.pop(name) for name in more]
        if not all(isinstance(value, str) for value in (*images, *row.values())):
            raise UserError(f"{where} has a value that is not text: write it in quotes.")
        if not (images and all(images)):
            raise UserError(f"{where} has an empty image: name a file for every channel.")
        yield tuple(images), {name: row.get(name, "").strip() for name in COLUMNS[1:]}, where


def _plain(name: str) -> str:
    return name.strip().lower()


def _check_columns(path: Path, columns: Sequence[str], written: Sequence[str]) -> None:
    """Check the names: a misspelt ``label`` must not make every image unlabelled.

    Args:
        path: the list.
        columns: the names without capitals.
        written: the names as written.
    """
    bad = [
        n
        for n, name in enumerate(columns)
        if name not in COLUMNS and not CHANNEL_COLUMN.fullmatch(name)
    ]
    if bad:
        known = (*COLUMNS, "image_2")
        near = str(unknown("column", columns[bad[0]], known))
        if len(bad) == 1 and "did you mean" in near:
            hint = near.partition(": ")[2].rstrip("?") + ", or remove the column?"
        else:
            some = "remove it, or rename it" if len(bad) == 1 else "remove them, or rename each"
            hint = f"{some} to one of {', '.join(known)}."
        named = joined([f"'{written[n].strip()}'" for n in bad])
        raise UserError(f"{path}: unknown column{'s' * (len(bad) > 1)} {named}: {hint}")
    if len(set(columns)) < len(columns):
        raise UserError(f"{path} has the same column twice: keep one of them.")
    if "image" not in columns:
        raise UserError(f"{path} has no column 'image': add one with a file in each line.")
