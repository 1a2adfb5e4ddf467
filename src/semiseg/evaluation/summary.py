"""From scores of cases to means with counts, and to CSV and JSON files that explain themselves.

A class's mean is taken over the cases that have a value; how many those are, and how many were
left out and why, stands beside it. **The mean over classes is the mean of the class means**: a
class that few cases hold weighs as much as the others.
"""

import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.errors import UserError
from semiseg.evaluation.protocols import CaseScore, Missing, Protocol, Status, Units
from semiseg.files import atomic_output

METRICS = ("dice", "iou", "hd95", "asd", "mae")
STATUSES: tuple[Status, ...] = ("ok", "missing", "spurious", "absent")


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean and what it rests on.

    Attributes:
        mean: None where nothing was counted.
        deviation: sample standard deviation (n - 1) over cases; None below two values.
        count: values behind the mean.
        left_out: cases without a value (absent, or excluded by a rule).
    """

    mean: float | None
    deviation: float | None
    count: int
    left_out: int


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
        mean: None where no class has a value.
        deviation: sample standard deviation over cases of each case's own mean over its classes.
        classes: classes behind the mean.
        count: values of single cases behind it.
    """

    mean: float | None
    deviation: float | None
    classes: int
    count: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """The result of an evaluation.

    Attributes:
        protocol: the definitions.
        missing: the rule for missing structures that was in force.
        units: of HD95 and ASD.
        cases: how many were scored.
        classes: per class, in the order of their codes.
        overall: per metric, the mean over classes.
        scores: every case and class, as in the CSV.
        failed: file or case -> why it was not scored (a sentence).
        unpaired_predictions: predictions without a reference.
        unpaired_references: references without a prediction; not in any mean.
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
        """The metrics that were measured: MAE only of pictures."""
        return tuple(self.overall)

    @property
    def complete(self) -> bool:
        """Whether every file that was found is in the means."""
        return not (self.failed or self.unpaired_predictions or self.unpaired_references)

    def to_json(self) -> dict[str, Any]:
        """All but the scores of single cases, as plain values."""
        return {
            **definitions(self),
            "cases": self.cases,
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
        """A metric's name with its unit: ``hd95_mm``, ``mae_percent``, ``dice``."""
        suffix = {"hd95": f"_{self.units}", "asd": f"_{self.units}", "mae": "_percent"}
        return metric + suffix.get(metric, "")


def definitions(summary: Summary) -> dict[str, str]:
    """The words that must stand beside the numbers."""
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
) -> Summary:
    """Means with counts of the scores of :func:`semiseg.evaluation.protocols.score_case`.

    Cases that were scored with fewer classes than others count as ``absent`` in the rest.

    Raises:
        UserError: where there are no scores, a case and class stands twice, or some distances are
            in mm and others in voxels.
    """
    rows = _completed(list(scores))
    units = {row.units for row in rows}
    if len(units) > 1:
        raise UserError(
            "Some cases carry a spacing and others do not, so their distances have no common "
            "unit: give one with --spacing, or score them apart."
        )
    used = [m for m in METRICS if m != "mae" or any(row.mae is not None for row in rows)]
    classes: list[ClassSummary] = []
    for code in sorted({row.code for row in rows}):
        own = [row for row in rows if row.code == code]
        statuses = {status: sum(row.status == status for row in own) for status in STATUSES}
        metrics = {metric: _mean([getattr(row, metric) for row in own]) for metric in used}
        classes.append(ClassSummary(code, own[0].name, statuses, metrics))
    return Summary(
        protocol=protocol,
        missing=protocol.rule(missing),
        units=units.pop(),
        cases=len({row.case for row in rows}),
        classes=tuple(classes),
        overall={metric: _over_classes(metric, classes, rows) for metric in used},
        scores=tuple(rows),
        failed=dict(failed or {}),
        unpaired_predictions=tuple(unpaired_predictions),
        unpaired_references=tuple(unpaired_references),
    )


def write_csv(path: Path, summary: Summary) -> None:
    """One row per case and class; units in the header, definitions in the last columns.

    An empty field is a value that is not defined or was left out; ``status`` says why.

    Raises:
        UserError: where the file cannot be written.
    """
    counted = ("predicted_voxels", "reference_voxels")
    fixed = {k: v for k, v in definitions(summary).items() if k != "mean_over_classes_is"}
    with atomic_output(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = [summary.column(metric) for metric in summary.metrics]
        writer.writerow(["case", "class", "code", "status", *columns, *counted, *fixed])
        for row in summary.scores:
            values = [getattr(row, metric) for metric in summary.metrics]
            numbers = ["" if value is None else f"{value:.6f}" for value in values]
            sizes = [getattr(row, name) for name in counted]
            head = [row.case, row.name, row.code, row.status]
            writer.writerow([*head, *numbers, *sizes, *fixed.values()])


def write_json(
    path: Path, summary: Summary, origin: Mapping[str, str | bool] | None = None
) -> None:
    """Means with counts, definitions, what was not scored, and ``of``: whose scores these are.

    Raises:
        UserError: where the file cannot be written.
    """
    content = ({"of": dict(origin)} if origin else {}) | summary.to_json()
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_output(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _completed(rows: list[CaseScore]) -> list[CaseScore]:
    """Rows of every case and class, in the order of cases, then codes."""
    if not rows:
        raise UserError("Nothing was scored: check that the folders hold readable masks.")
    by_key = {(row.case, row.code): row for row in rows}
    if len(by_key) < len(rows):
        raise UserError("A case and class was scored twice: give every case its own identifier.")
    names = {row.code: row.name for row in rows}
    firsts = {row.case: row for row in reversed(rows)}
    out: list[CaseScore] = []
    for case in dict.fromkeys(row.case for row in rows):
        first = firsts[case]
        # In neither mask, so a picture's error is 0 there.
        error = None if first.mae is None else 0.0
        for code, name in sorted(names.items()):
            blank = CaseScore(case, code, name, "absent", 0, 0, first.units, mae=error)
            out.append(by_key.get((case, code), blank))
    return out


def _mean(values: Sequence[float | None]) -> Mean:
    found = [value for value in values if value is not None]
    mean = float(np.mean(found)) if found else None
    return Mean(mean, _deviation(found), len(found), len(values) - len(found))


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _over_classes(
    metric: str, classes: Sequence[ClassSummary], rows: Sequence[CaseScore]
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
    )
