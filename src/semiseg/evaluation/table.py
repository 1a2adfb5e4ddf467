"""A summary as text for the terminal."""

from collections.abc import Mapping

from semiseg.evaluation.intervals import interval_words
from semiseg.evaluation.protocols import Status
from semiseg.evaluation.summary import ClassMean, Mean, Summary, possible

_TITLES = {"dice": "Dice", "iou": "IoU", "hd95": "HD95", "asd": "ASD", "mae": "MAE"}


def table_lines(summary: Summary) -> list[str]:
    """Return the definitions, one line per class, one for the mean over classes, and its interval.

    The number in brackets after a mean is its number of cases.
    """
    protocol = summary.protocol
    asd = "symmetric" if protocol.symmetric_asd else "from prediction to reference"
    at = f", at {protocol.picture_size} x {protocol.picture_size}" if protocol.picture_size else ""
    rows = [["class", *(_title(summary, metric) for metric in summary.metrics), "not ok"]]
    for item in summary.classes:
        troubles = _troubles(item.statuses)
        cells = [_cell(item.metrics[metric]) for metric in summary.metrics]
        rows.append([item.name, *cells, ", ".join(troubles) or "-"])
    overall = [_cell(summary.overall[metric]) for metric in summary.metrics]
    rows.append(["mean of class means", *overall, ""])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{summary.cases} {'case' if summary.cases == 1 else 'cases'}, "
        f"protocol {protocol.name}{at}: distances in {summary.units}, HD95 {protocol.hd95}, "
        f"ASD {asd}, missing structures: {summary.missing}"
    ]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return [*lines, interval_words(summary.overall["dice"].interval, summary.patients)]


def _troubles(statuses: Mapping[Status, int]) -> list[str]:
    """Counts such as ``2 of 12 missing``; the second number counts the cases in which this is possible."""
    of = possible(statuses)
    return [
        f"{count} {f'of {of[status]} ' if status in of else ''}{status}"
        for status, count in statuses.items()
        if count and status != "ok"
    ]


def _title(summary: Summary, metric: str) -> str:
    unit = f" {summary.units}" if metric in ("hd95", "asd") else ""
    return _TITLES[metric] + unit


def _cell(mean: Mean | ClassMean) -> str:
    if mean.mean is None:
        return f"- ({mean.count})"
    spread = "" if mean.deviation is None else f" ± {mean.deviation:.3f}"
    return f"{mean.mean:.3f}{spread} ({mean.count})"
