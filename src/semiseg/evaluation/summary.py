"""Summaries of scores: means with counts, written to CSV and JSON files.

A class's mean is over the cases with a value. The summary also counts these cases and those left
out, by reason. **The mean over classes is the mean of the class means**: a class that occurs in few
cases has the same weight as the others.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.csv_files import write_rows
from semiseg.errors import UserError
from semiseg.evaluation.intervals import (
    Interval,
    interval_of_mean,
    interval_of_mean_over_groups,
)
from semiseg.evaluation.protocols import CaseScore, Missing, Protocol, Status, Units
from semiseg.files import atomic_output, atomic_outputs

METRICS = ("dice", "iou", "hd95", "asd", "mae")
STATUSES: tuple[Status, ...] = ("ok", "missing", "spurious", "absent")


def possible(statuses: Mapping[Any, int]) -> dict[str, int]:
    """How many cases could miss a structure (those that contain it), or have a spurious one (the others).

    Args:
        statuses: status -> number of cases of one class.
    """
    return {
        "missing": statuses["ok"] + statuses["missing"],
        "spurious": statuses["spurious"] + statuses["absent"],
    }


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean with its standard deviation and counts.

    Attributes:
        mean: None without values.
        deviation: sample standard deviation (n - 1) over cases; None for fewer than two values.
        count: number of values.
        left_out: number of cases without a value (absent, or excluded by a rule).
        interval: 95% interval of the mean by the bootstrap over patients; None below three patients.
    """

    mean: float | None
    deviation: float | None
    count: int
    left_out: int
    interval: Interval | None = None


@dataclasses.dataclass(frozen=True)
class ClassSummary:
    """One class over all cases; ``statuses`` counts cases by status."""

    code: int
    name: str
    statuses: dict[Status, int]
    metrics: dict[str, Mean]


@dataclasses.dataclass(frozen=True)
class ClassMean:
    """Mean over classes of the class means.

    Attributes:
        mean: None if no class has a value.
        deviation: sample standard deviation over cases of each case's mean over its classes.
        classes: number of classes with a value.
        count: number of values of single cases.
        interval: as in `Mean`.
    """

    mean: float | None
    deviation: float | None
    classes: int
    count: int
    interval: Interval | None = None


@dataclasses.dataclass(frozen=True)
class Summary:
    """The result of an evaluation.

    Attributes:
        protocol: the definitions.
        missing: the rule for missing structures.
        units: unit of HD95 and ASD.
        cases: number of scored cases.
        patients: number of scored patients.
        classes: one summary per class, ordered by code.
        overall: mean over classes of each metric.
        scores: the scores of every case and class, as in the CSV file.
        failed: file or case -> reason why it was not scored (a sentence).
        unpaired_predictions: predictions without a reference.
        unpaired_references: references without a prediction, which are not in any mean.
    """

    protocol: Protocol
    missing: Missing
    units: Units
    cases: int
    classes: tuple[ClassSummary, ...]
    overall: dict[str, ClassMean]
    scores: tuple[CaseScore, ...]
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unpaired_predictions: tuple[str, ...] = ()
    unpaired_references: tuple[str, ...] = ()
    patients: int = 0

    def __repr__(self) -> str:
        means = [
            f"{self.column(metric)}={'None' if found.mean is None else f'{found.mean:.3f}'}"
            for metric, found in self.overall.items()
        ]
        words = [f"cases={self.cases}", *means, f"protocol={self.protocol.name!r}"]
        if self.failed:
            words.append(f"failed={len(self.failed)}")
        return f"Summary({', '.join(words)})"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that were measured; MAE only for pictures."""
        return tuple(self.overall)

    @property
    def complete(self) -> bool:
        """Whether the means include every file that was found."""
        return not (self.failed or self.unpaired_predictions or self.unpaired_references)

    def to_json(self) -> dict[str, Any]:
        """Return everything except the scores of single cases as plain values."""
        return {
            **definitions(self),
            "cases": self.cases,
            "patients": self.patients,
            "failed": dict(self.failed),
            "predictions_without_reference": list(self.unpaired_predictions),
            "references_without_prediction": list(self.unpaired_references),
            "classes": {
                summary.name: {
                    "code": summary.code,
                    "cases": dict(summary.statuses),
                    **{
                        self.column(metric): dataclasses.asdict(mean)
                        for metric, mean in summary.metrics.items()
                    },
                }
                for summary in self.classes
            },
            "mean_over_classes": {
                self.column(metric): dataclasses.asdict(mean)
                for metric, mean in self.overall.items()
            },
        }

    def column(self, metric: str) -> str:
        """Return a metric's name with its unit: ``hd95_mm``, ``mae_percent``, ``dice``."""
        suffix = {"hd95": f"_{self.units}", "asd": f"_{self.units}", "mae": "_percent"}
        return metric + suffix.get(metric, "")


def definitions(summary: Summary) -> dict[str, str]:
    """Return the definitions that are written with the numbers."""
    protocol = summary.protocol
    return {
        "protocol": protocol.name,
        "units": summary.units,
        "hd95_definition": protocol.hd95,
        "asd_definition": "symmetric" if protocol.symmetric_asd else "prediction-to-reference",
        "missing_rule": summary.missing,
        "scored_at": (
            "the reference's grid"
            if protocol.picture_size is None
            else f"{protocol.picture_size} x {protocol.picture_size}"
        ),
        "mean_over_classes_is": "the mean of the class means",
    }


def summarise(
    scores: Iterable[CaseScore],
    protocol: Protocol,
    missing: Missing = "worst",
    *,
    failed: Mapping[str, str] | None = None,
    unpaired_predictions: Sequence[str] = (),
    unpaired_references: Sequence[str] = (),
    patients: Mapping[str, str] | None = None,
) -> Summary:
    """Summarise the scores of :func:`semiseg.evaluation.protocols.score_case`.

    A case that was scored with fewer classes than others is ``absent`` in the remaining classes.
    ``patients`` maps cases to patients, for intervals; by default every case is its own patient.

    Raises:
        UserError: if there are no scores, a case and class occurs twice, or some distances are in
            mm and others in voxels.
    """
    rows = _completed(list(scores))
    units = {row.units for row in rows}
    if units == {"pixels", "voxels"}:  # pictures beside stacks
        rows = [dataclasses.replace(row, units="voxels") for row in rows]
        units = {"voxels"}
    if len(units) > 1:
        raise UserError(
            "Some cases have a spacing and others do not, so their distances have no common "
            "unit: give a spacing with --spacing, or score them separately."
        )
    used = [m for m in METRICS if m != "mae" or any(row.mae is not None for row in rows)]
    classes: list[ClassSummary] = []
    for code in sorted({row.code for row in rows}):
        own = [row for row in rows if row.code == code]
        statuses = {status: sum(row.status == status for row in own) for status in STATUSES}
        metrics = {metric: _mean(own, metric, patients or {}) for metric in used}
        classes.append(ClassSummary(code, own[0].name, statuses, metrics))
    return Summary(
        protocol=protocol,
        missing=protocol.rule(missing),
        units=units.pop(),
        cases=len({row.case for row in rows}),
        classes=tuple(classes),
        overall={metric: _over_classes(metric, classes, rows, patients or {}) for metric in used},
        scores=tuple(rows),
        failed=dict(failed or {}),
        unpaired_predictions=tuple(unpaired_predictions),
        unpaired_references=tuple(unpaired_references),
        patients=len({(patients or {}).get(row.case, row.case) for row in rows}),
    )


def write_scores(
    folder: Path, summary: Summary, origin: Mapping[str, str | bool] | None = None
) -> None:
    """Write ``cases.csv`` and ``summary.json`` into ``folder``, both or none.

    Raises:
        UserError: if a file cannot be written.
    """
    with atomic_outputs([folder / "cases.csv", folder / "summary.json"]) as (cases, means):
        write_rows(cases, _table(summary))
        means.write_text(_text(summary, origin), encoding="utf-8")


def write_csv(path: Path, summary: Summary) -> None:
    """Write one row per case and class, with units in the header and definitions in columns.

    A field is empty if the value is undefined or left out; ``status`` gives the reason.

    Raises:
        UserError: if the file cannot be written.
    """
    with atomic_output(path) as partial:
        write_rows(partial, _table(summary))


def write_json(
    path: Path, summary: Summary, origin: Mapping[str, str | bool] | None = None
) -> None:
    """Write means with counts, definitions, unscored cases and, as ``of``, the ``origin``.

    Raises:
        UserError: if the file cannot be written.
    """
    with atomic_output(path) as partial:
        partial.write_text(_text(summary, origin), encoding="utf-8")


def _table(summary: Summary) -> list[list[Any]]:
    counted = ("predicted_voxels", "reference_voxels")
    fixed = {k: v for k, v in definitions(summary).items() if k != "mean_over_classes_is"}
    columns = [summary.column(metric) for metric in summary.metrics]
    rows: list[list[Any]] = [["case", "class", "code", "status", *columns, *counted, *fixed]]
    for row in summary.scores:
        values = [getattr(row, metric) for metric in summary.metrics]
        numbers = ["" if value is None else f"{value:.6f}" for value in values]
        sizes = [getattr(row, name) for name in counted]
        rows.append([row.case, row.name, row.code, row.status, *numbers, *sizes, *fixed.values()])
    return rows


def _text(summary: Summary, origin: Mapping[str, str | bool] | None) -> str:
    content = ({"of": dict(origin)} if origin else {}) | summary.to_json()
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _completed(rows: list[CaseScore]) -> list[CaseScore]:
    """Return a row for every case and class, ordered by case, then code."""
    if not rows:
        raise UserError("Nothing was scored: check that the folders contain readable masks.")
    by_key = {(row.case, row.code): row for row in rows}
    if len(by_key) < len(rows):
        raise UserError("A case and class was scored twice: give every case its own identifier.")
    names = {row.code: row.name for row in rows}
    firsts = {row.case: row for row in reversed(rows)}
    out: list[CaseScore] = []
    for case in dict.fromkeys(row.case for row in rows):
        first = firsts[case]
        # In neither mask, so the MAE of a picture is 0.
        error = None if first.mae is None else 0.0
        for code, name in sorted(names.items()):
            blank = CaseScore(case, code, name, "absent", 0, 0, first.units, mae=error)
            out.append(by_key.get((case, code), blank))
    return out


def _mean(rows: Sequence[CaseScore], metric: str, patients: Mapping[str, str]) -> Mean:
    by_patient = _by_patient(rows, metric, patients)
    found = [value for own in by_patient.values() for value in own]
    mean = float(np.mean(found)) if found else None
    interval = interval_of_mean(by_patient)
    return Mean(mean, _deviation(found), len(found), len(rows) - len(found), interval)


def _by_patient(
    rows: Sequence[CaseScore], metric: str, patients: Mapping[str, str]
) -> dict[str, list[float]]:
    """Patient -> the values of the patient's cases."""
    found: dict[str, list[float]] = {}
    for row in rows:
        value = getattr(row, metric)
        if value is not None:
            found.setdefault(patients.get(row.case, row.case), []).append(value)
    return found


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _over_classes(
    metric: str,
    classes: Sequence[ClassSummary],
    rows: Sequence[CaseScore],
    patients: Mapping[str, str],
) -> ClassMean:
    means = [summary.metrics[metric] for summary in classes]
    found = [mean.mean for mean in means if mean.mean is not None]
    by_case: dict[str, list[float]] = {}
    for row in rows:
        value = getattr(row, metric)
        if value is not None:
            by_case.setdefault(row.case, []).append(value)
    return ClassMean(
        mean=float(np.mean(found)) if found else None,
        deviation=_deviation([float(np.mean(values)) for values in by_case.values()]),
        classes=len(found),
        count=sum(mean.count for mean in means),
        interval=interval_of_mean_over_groups(
            [
                _by_patient([row for row in rows if row.code == c.code], metric, patients)
                for c in classes
            ]
        ),
    )
