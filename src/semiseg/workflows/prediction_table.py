"""``predictions.csv`` beside predicted masks: how certain the network is of each, and remarks.

A row is appended after each mask, so that an interrupted prediction keeps its rows. At the end the rows are
sorted, the least certain mask first.
"""

import dataclasses
import math
from collections.abc import Collection
from pathlib import Path

from semiseg.csv_files import read_csv, write_rows
from semiseg.errors import UserError
from semiseg.files import atomic_output

NAME = "predictions.csv"
COLUMNS = ("mask", "confidence", "marked", "image", "remarks")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One mask.

    Attributes:
        mask: path below the folder of the masks, with ``/``.
        confidence: soft Dice confidence, 0 to 1.
        marked: number of pixels or voxels of structures.
        image: the image as given.
        remarks: what is unusual about the image; empty if nothing is.
    """

    mask: str
    confidence: float
    marked: int
    image: str
    remarks: str = ""


class PredictionTable:
    """The table of one folder of masks."""

    def __init__(self, folder: Path, again: Collection[str] = ()) -> None:
        """Begin the table. Rows of masks that exist stay, also those of other images.

        Args:
            folder: the folder of the masks, which exists.
            again: masks that are predicted again.

        Raises:
            UserError: if the table of an earlier call is damaged, or cannot be written.
        """
        self._path = folder / NAME
        found, complete = _read(self._path)
        self.rows = [r for r in found if r.mask not in again and (folder / r.mask).is_file()]
        if not complete or self.rows != found:  # otherwise a full disk does not matter
            self._rewrite()

    def add(self, row: Prediction) -> None:
        """Append the row of a mask that was written."""
        row = dataclasses.replace(row, confidence=round(row.confidence, 4))  # as it is stored
        self.rows.append(row)
        try:
            write_rows(self._path, [_cells(row)], append=True)
        except OSError as error:
            raise UserError(f"{self._path} cannot be written ({error.strerror}).") from error

    def finish(self) -> None:
        """Sort the rows, the least certain mask first."""
        before = list(self.rows)
        self.rows.sort(key=lambda row: (row.confidence, row.mask))
        if self.rows != before:
            self._rewrite()

    def _rewrite(self) -> None:
        with atomic_output(self._path) as partial:
            write_rows(partial, [COLUMNS, *map(_cells, self.rows)])


def read_predictions(folder: Path) -> list[Prediction]:
    """The rows of a folder's table; empty without a table. An incomplete last row is left out.

    Raises:
        UserError: if the table is damaged.
    """
    return _read(folder / NAME)[0]


def _read(path: Path) -> tuple[list[Prediction], bool]:
    """The complete rows of a table, and whether the table exists and all its rows are complete."""
    rows = read_csv(path, COLUMNS) if path.is_file() else []
    found = []
    for row in rows:
        if any(row.get(column) is None for column in COLUMNS):
            continue  # cut off while it was written
        confidence, marked = _number(row["confidence"]), _number(row["marked"])
        if not (0 <= confidence <= 1 and marked >= 0 and marked.is_integer()):
            raise UserError(
                f"{path} is damaged (confidence or number of marked pixels of {row['mask']}): delete it; "
                "--overwrite lists existing masks again."
            )
        found.append(Prediction(row["mask"], confidence, int(marked), row["image"], row["remarks"]))
    return found, path.is_file() and len(found) == len(rows)


def _number(text: str) -> float:
    """A finite number; -1 for any other text."""
    try:
        value = float(text)
    except ValueError:
        return -1.0
    return value if math.isfinite(value) else -1.0


def _cells(row: Prediction) -> list[str | int]:
    return [row.mask, f"{row.confidence:.4f}", row.marked, row.image, row.remarks]
