"""Logs of a run: CSV, JSON lines and, optionally, TensorBoard. Resumed runs have no duplicates."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semiseg.csv_files import read_csv, write_rows


class CsvLog:
    """A CSV file with a ``step`` column. Rows after the step of a resumed run are removed."""

    def __init__(self, path: Path, after: int) -> None:
        """Args: after: number of completed steps."""
        self.path = path
        self.columns: list[str] = []
        if path.is_file():
            rows = read_csv(path)
            # a truncated row lacks columns, and its step may lack digits
            whole = [row for row in rows if None not in row.values()]
            kept = [row for row in whole if _number(row.get("step")) <= after]
            self.columns = list(rows[0]) if rows else []
            if len(kept) < len(rows):
                self._rewrite(kept)

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        cells = [[row.get(name, "") for name in self.columns] for row in rows]
        write_rows(self.path, [self.columns, *cells])

    def write(self, row: Mapping[str, Any]) -> None:
        """Append ``row``. A new column rewrites the file."""
        rounded = {k: f"{v:.6g}" if isinstance(v, float) else str(v) for k, v in row.items()}
        if any(name not in self.columns for name in rounded):
            rows = read_csv(self.path) if self.path.is_file() else []
            self.columns += [name for name in rounded if name not in self.columns]
            self._rewrite(rows)
        write_rows(self.path, [[rounded.get(name, "") for name in self.columns]], append=True)


def _number(text: str | None) -> float:
    try:
        return float(text or "inf")
    except ValueError:
        return float("inf")


class Logs:
    """All logs of one run."""

    def __init__(self, folder: Path, done: int, tensorboard: bool) -> None:
        """Args: done: number of completed steps; rows after them are removed."""
        self.folder = folder
        names = ("metrics", "validation", "gradients")
        self.tables = {name: CsvLog(folder / f"{name}.csv", done) for name in names}
        self.lines = folder / "log.jsonl"
        if self.lines.is_file():
            lines = self.lines.read_text("utf-8", errors="replace").split("\n")
            kept = [line for line in lines if _step(line) <= done]
            self.lines.write_text("".join(line + "\n" for line in kept), "utf-8")
        self.board = _tensorboard(folder) if tensorboard else None

    def write(self, table: str, row: Mapping[str, Any]) -> None:
        """Write a row with a ``step`` to ``metrics``, ``validation`` or ``gradients``."""
        self.tables[table].write(row)
        with self.lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"table": table, **row}) + "\n")
        if self.board is not None:
            step = int(row["step"])
            numbers = {
                f"{table}/{key}": value
                for key, value in row.items()
                if isinstance(value, int | float) and key != "step"
            }
            self.board.log_metrics(numbers, step)

    def close(self) -> None:
        """Flush TensorBoard."""
        if self.board is not None:
            self.board.finalize("success")


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return float("inf")  # a truncated line


def _tensorboard(folder: Path) -> Any:
    from lightning_fabric.loggers import TensorBoardLogger

    from semiseg.errors import UserError

    try:
        return TensorBoardLogger(root_dir=folder, name="tensorboard", version="")
    except ModuleNotFoundError:
        raise UserError(
            "training.tensorboard needs TensorBoard: run 'pip install semiseg[tensorboard]'."
        ) from None
