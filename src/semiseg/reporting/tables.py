"""The table of a benchmark as CSV, Markdown and plain text, with the sentences around it."""

import dataclasses
import re
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.csv_files import write_rows
from semiseg.data.manifest import PreparedData
from semiseg.files import atomic_output
from semiseg.reporting.captions import Row, caption, scored_cases, trouble

# metric -> (title, whether larger is better, factor for display, decimals)
METRICS = {
    "dice": ("DSC [%]", True, 100.0, 1),
    "iou": ("IoU [%]", True, 100.0, 1),
    "hd95": ("HD95 [{}]", False, 1.0, 1),
    "asd": ("ASD [{}]", False, 1.0, 2),
    "mae": ("MAE [%]", False, 1.0, 2),
}
MOST_CLASSES_ON_TERMINAL = 5


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean over seeds and their sample standard deviation (n - 1; None below two)."""

    mean: float
    deviation: float | None
    count: int


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the table: one network of a variant with one number of labelled patients.

    Attributes:
        variant: name of the variant.
        method: its method.
        labelled: the budget (number of labelled patients) as given.
        network: the scored network.
        default: whether it is the network meant for inference.
        seeds: seeds of the trainings.
        values: (class or None for the mean over classes, column such as ``hd95_mm``) -> spread.
        best: keys of ``values`` with the best value among the default networks of the same budget.
    """

    variant: str
    method: str
    labelled: str
    network: str
    default: bool
    seeds: tuple[int, ...]
    values: dict[tuple[str | None, str], Spread]
    best: frozenset[tuple[str | None, str]] = frozenset()


def budget_order(text: str, available: int = 100) -> tuple[int, float, str]:
    """A key that sorts budgets: numbers first, then files of patients, then ``all``.

    Args:
        text: '7', '10%', 'all' or a file's name.
        available: number of labelled patients that equals 100%.
    """
    number = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    if number:
        value = float(number.group(1))
        return 0, value * available / 100 if number.group(2) else value, ""
    return (2, 0.0, "") if text.strip().lower() == "all" else (1, 0.0, text)


def make_lines(rows: Sequence[Row], available: int = 100) -> list[Line]:
    """Average rows over seeds, and sort them by budget, then in the order of their variants.

    Args:
        rows: see `write_tables`; a variant's network for inference comes first.
        available: number of labelled patients that equals 100%.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["variant"], row["labelled"], row["network"]), []).append(row)
    first = {row["variant"]: row["network"] for row in reversed(rows)}
    lines = [
        Line(
            variant, own[0]["method"], labelled, network, network == first[variant],
            tuple(sorted({row["seed"] for row in own})), _spreads(own),
        )
        for (variant, labelled, network), own in groups.items()
    ]  # fmt: skip
    order = {name: index for index, name in enumerate(dict.fromkeys(r["variant"] for r in rows))}
    lines.sort(key=lambda line: (budget_order(line.labelled, available), order[line.variant]))
    return [dataclasses.replace(line, best=_best(line, lines)) for line in lines]


def _spreads(rows: Sequence[Row]) -> dict[tuple[str | None, str], Spread]:
    found: dict[tuple[str | None, str], list[float]] = {}
    for row in rows:
        for name, values in by_class(row["summary"]).items():
            for column in columns_of([row]):
                mean = values.get(column, {}).get("mean")
                if mean is not None:
                    found.setdefault((name, column), []).append(mean)
    return {
        key: Spread(
            statistics.fmean(values),
            statistics.stdev(values) if len(values) > 1 else None,
            len(values),
        )
        for key, values in found.items()
    }


def _best(line: Line, lines: Sequence[Line]) -> frozenset[tuple[str | None, str]]:
    """The best values, compared as printed, so that equal numbers are marked alike.

    None if there are no other lines of the budget, or if they are based on different seeds.
    """
    rivals = [other for other in lines if other.default and other.labelled == line.labelled]
    if not line.default or len(rivals) < 2 or len({rival.seeds for rival in rivals}) > 1:
        return frozenset()
    best = set()
    for key, spread in line.values.items():
        _, larger, factor, decimals = METRICS[metric_of(key[1])]
        sign = 1 if larger else -1
        shown = [
            sign * round(factor * other.values[key].mean, decimals)
            for other in rivals
            if key in other.values
        ]
        if sign * round(factor * spread.mean, decimals) >= max(shown):
            best.add(key)
    return frozenset(best)


def by_class(summary: Mapping[str, Any]) -> dict[str | None, Mapping[str, Any]]:
    """Class -> its means; None -> the mean over classes."""
    return {None: summary["mean_over_classes"], **summary["classes"]}


def metric_of(column: str) -> str:
    """``hd95_mm`` -> ``hd95``."""
    return column.split("_")[0]


def columns_of(rows: Iterable[Row]) -> list[str]:
    """The measured columns in the order of `METRICS`: ``dice``, ``hd95_mm``, ..."""
    found = {column for row in rows for column in row["summary"]["mean_over_classes"]}
    order = list(METRICS)
    return sorted(
        (column for column in found if metric_of(column) in METRICS),
        key=lambda column: (order.index(metric_of(column)), column),
    )


def shown_columns(rows: Sequence[Row]) -> list[str]:
    """The columns of a displayed table: IoU only for pictures, for which MAE is measured too."""
    columns = columns_of(rows)
    pictures = any(metric_of(column) == "mae" for column in columns)
    return [column for column in columns if pictures or metric_of(column) != "iou"]


def title_of(column: str) -> str:
    """``hd95_mm`` -> ``HD95 [mm]``."""
    return METRICS[metric_of(column)][0].format(column.partition("_")[2])


def shown(column: str, spread: Spread | None) -> str:
    """Format a value, with its standard deviation over seeds if there is one."""
    if spread is None:
        return "-"
    _, _, factor, decimals = METRICS[metric_of(column)]
    text = f"{factor * spread.mean:.{decimals}f}"
    if spread.deviation is not None:
        text += f" ± {factor * spread.deviation:.{decimals}f}"
    return text


def shown_interval(column: str, interval: Sequence[float] | None) -> str:
    """Format an interval."""
    if interval is None:
        return "-"
    _, _, factor, decimals = METRICS[metric_of(column)]
    return " to ".join(f"{factor * bound:.{decimals}f}" for bound in interval)


def classes_of(rows: Sequence[Row]) -> list[str]:
    """The classes in the order of their codes."""
    return list(dict.fromkeys(name for row in rows for name in row["summary"]["classes"]))


def keys_of(rows: Sequence[Row], with_classes: bool = True) -> list[tuple[str | None, str]]:
    """The table's columns: means over classes, then DSC and HD95 of each class."""
    columns, classes = shown_columns(rows), classes_of(rows)
    keys: list[tuple[str | None, str]] = [(None, column) for column in columns]
    if with_classes and len(classes) > 1:  # with one class, the mean is its value
        for metric in ("dice", "hd95"):
            keys += [(name, c) for c in columns if metric_of(c) == metric for name in classes]
    return keys


def head_of(key: tuple[str | None, str]) -> str:
    """``(None, 'dice')`` -> ``DSC [%]``, ``('RV', 'dice')`` -> ``RV DSC [%]``."""
    return title_of(key[1]) if key[0] is None else f"{key[0]} {title_of(key[1])}"


# ------------------------------------------------------------------------------------------ files


def write_tables(folder: Path, rows: list[dict[str, Any]], prepared: PreparedData, on: str) -> str:
    """Write ``runs.csv``, ``table.csv`` and ``table.md`` into ``folder``.

    Args:
        folder: the benchmark's folder.
        rows: one per run and network: variant, method, labelled, seed, network, size, iterations,
            pretrained, seconds and summary (the parsed ``summary.json``).
        prepared: the scored data.
        on: the scored part.

    Returns:
        The table as text for a terminal, with the sentences above and below it.

    Raises:
        UserError: if a file cannot be written.
    """
    split = prepared.manifest.split
    available = len({c.patient for c in prepared.of_patients(split.train, labelled=True)})
    lines = make_lines(rows, available)
    cases, held_out = scored_cases(prepared, on, folder)
    above, below = caption(rows, on, prepared, cases, held_out), trouble(rows)
    _write_csv(folder / "runs.csv", _run_records(rows, on))
    _write_csv(folder / "table.csv", _line_records(lines, rows))
    with atomic_output(folder / "table.md") as partial:
        partial.write_text(_markdown(lines, rows, above, below), encoding="utf-8")
    return _text(lines, rows, above, below)


def _write_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for record in records for name in record))
    rows = [[record.get(name, "") for name in columns] for record in records]
    with atomic_output(path) as partial:
        write_rows(partial, [columns, *rows])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _run_records(rows: Sequence[Row], on: str) -> list[dict[str, Any]]:
    plain = ("variant", "method", "labelled", "seed", "network", "size", "iterations")
    fixed = ("protocol", "hd95_definition", "asd_definition", "missing_rule")
    records = []
    for row in rows:
        for name, values in by_class(row["summary"]).items():
            record: dict[str, Any] = {key: row[key] for key in plain}
            record |= {
                "pretrained": " ".join(row["pretrained"]),
                "seconds": _number(row["seconds"]),
            }
            record |= {"on": on, "cases": row["summary"]["cases"], "class": name or "mean"}
            for column in columns_of(rows):
                mean = values.get(column, {})
                record[column] = _number(mean.get("mean"))
                record[f"{column}_sd_over_cases"] = _number(mean.get("deviation"))
                record[f"{column}_count"] = mean.get("count", "")
                low, high = mean.get("interval") or (None, None)
                record |= {f"{column}_low": _number(low), f"{column}_high": _number(high)}
            if name is not None:
                record |= values["cases"]
            records.append(record | {key: row["summary"][key] for key in fixed})
    return records


def _line_records(lines: Sequence[Line], rows: Sequence[Row]) -> list[dict[str, Any]]:
    records = []
    for line in lines:
        record: dict[str, Any] = {
            "variant": line.variant, "method": line.method, "labelled": line.labelled,
            "network": line.network, "seeds": len(line.seeds),
        }  # fmt: skip
        for name, column in keys_of(rows):
            spread = line.values.get((name, column))
            unit = {"dice": "dsc_percent", "iou": "iou_percent"}.get(column, column)
            factor = METRICS[metric_of(column)][2]
            key = f"{name or 'mean'}_{unit}"
            record[key] = _number(factor * spread.mean) if spread else ""
            deviation = spread.deviation if spread else None
            record[f"{key}_sd_over_seeds"] = (
                "" if deviation is None else _number(factor * deviation)
            )
        records.append(record)
    return records


def _cells(line: Line, keys: Sequence[tuple[str | None, str]], bold: str) -> list[str]:
    cells = [line.variant, line.network, line.labelled, str(len(line.seeds))]
    for key in keys:
        mark = bold if key in line.best else ""
        cells.append(f"{mark}{shown(key[1], line.values.get(key))}{mark}")
    return cells


_HEAD = ["method", "network", "labelled", "seeds"]


def _markdown(
    lines: Sequence[Line], rows: Sequence[Row], above: Sequence[str], below: Sequence[str]
) -> str:
    keys = keys_of(rows)
    table = [
        [*_HEAD, *(_plain_markdown(head_of(key)) for key in keys)],
        ["---", "---", *["---:"] * (2 + len(keys))],
        *(
            [*map(_plain_markdown, cells[:4]), *cells[4:]]
            for cells in (_cells(line, keys, "**") for line in lines)
        ),
    ]
    body = ["| " + " | ".join(row) + " |" for row in table]
    if any(line.best for line in lines):
        below = [
            "Bold: the best value for this number of labelled patients, among the networks meant for "
            "inference.",
            *below,
        ]
    parts = [" ".join(above), "\n".join(body), "\n\n".join(below)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain_markdown(name: str) -> str:
    """A name as Markdown that shows its characters as they are."""
    return re.sub(r"([\\`*_<>$|])", r"\\\1", name)


def _text(
    lines: Sequence[Line], rows: Sequence[Row], above: Sequence[str], below: Sequence[str]
) -> str:
    keys = keys_of(rows, with_classes=False)
    classes = classes_of(rows)
    if 1 < len(classes) <= MOST_CLASSES_ON_TERMINAL:
        keys += [(name, "dice") for name in classes]
    heads = [
        *_HEAD,
        *(head_of(key).replace(" [%]", "") if key[0] else head_of(key) for key in keys),
    ]
    table = [heads, *(_cells(line, keys, "") for line in lines)]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    body = [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    wrapped = [textwrap.fill(" ".join(above), 100), "", *body]
    return "\n".join([*wrapped, *(textwrap.fill(text, 100) for text in below)])
