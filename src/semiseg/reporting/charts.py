"""Charts of a run or a benchmark: scores of the cases, validation scores, losses."""

import contextlib
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from semiseg.csv_files import read_csv
from semiseg.reporting import figures, tables
from semiseg.reporting.facts import available_of, labelled_words
from semiseg.reporting.figures import Curve
from semiseg.reporting.results import Benchmark, Scored

MOST_CLASS_FACETS = 4
MOST_TILES = 4


def tiles(bench: Benchmark) -> list[dict[str, Any]]:
    """The mean Dice of each variant; empty if there are several budgets or many variants."""
    if len(bench.budgets) != 1 or len(bench.variants) > MOST_TILES:
        return []
    rows = [s.row for s in bench.scored]
    out = []
    for line in tables.make_lines(rows):
        spread = line.values.get((None, "dice"))
        if not line.default or spread is None:
            continue
        cases = _over_seeds(bench.of(line.labelled, line.variant), None)
        seeds = len(line.seeds)
        note = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
        if len(cases) > 1:
            note += f"; ± {100 * statistics.stdev(cases.values()):.1f} over {len(cases)} cases"
        out.append(
            {
                "index": bench.variants.index(line.variant), "name": line.variant,
                "value": f"{100 * spread.mean:.1f}", "note": note,
            }
        )  # fmt: skip
    return out


def _over_seeds(scored: Sequence[Scored], name: str | None) -> dict[str, float]:
    """Case -> Dice, mean over the seeds with this case."""
    found: dict[str, list[float]] = {}
    for s in scored:
        for case, value in s.dice.get(name, {}).items():
            found.setdefault(case, []).append(value)
    return {case: statistics.fmean(values) for case, values in found.items()}


def strip_section(bench: Benchmark, budget: str) -> dict[str, Any]:
    """Strip plots of all variants with one budget: the mean over classes, and single classes if few.

    Only seeds common to all variants are used, if there are any.
    """
    variants = [v for v in bench.variants if bench.of(budget, v)]
    names = tables.classes_of([s.row for s in bench.of(budget)])
    runs = {v: bench.of(budget, v) for v in variants}
    common = set.intersection(*({s.row["seed"] for s in own} for own in runs.values()))
    if common:
        runs = {v: [s for s in own if s.row["seed"] in common] for v, own in runs.items()}
    facets: list[str | None] = [None]
    if 1 < len(names) <= MOST_CLASS_FACETS:
        facets += names
    charts = []
    for name in facets:
        groups = {v: list(_over_seeds(runs[v], name).values()) for v in variants}
        title = "mean over classes" if name is None and len(names) > 1 else name or names[0]
        charts.append(strip(groups, [bench.variants.index(v) for v in variants], title))
    return {"title": f"{labelled_words(budget, bench.budgets)} labelled", "charts": charts}


def strip(groups: Mapping[str, Sequence[float]], indices: Sequence[int], title: str) -> Markup:
    """Dice of every case, one strip plot per group; see `semiseg.reporting.figures.strips`."""
    return Markup(figures.strips(groups, indices, f"Dice, {title}"))


def paired(bench: Benchmark) -> list[dict[str, Any]]:
    """Compare every variant with the first one, paired by case."""
    out = []
    for budget in bench.budgets:
        variants = [v for v in bench.variants if bench.of(budget, v)]
        for other in variants[1:]:
            mine, base = bench.of(budget, other), bench.of(budget, variants[0])
            common = {s.row["seed"] for s in mine} & {s.row["seed"] for s in base}
            a, b = (
                _over_seeds([s for s in side if s.row["seed"] in common], None)
                for side in (mine, base)
            )
            gains = [100 * (a[case] - b[case]) for case in a if case in b]
            if gains:
                spread = f" ± {statistics.stdev(gains):.1f}" if len(gains) > 1 else ""
                out.append(
                    {
                        "budget": labelled_words(budget, bench.budgets), "base": variants[0], "other": other,
                        "gain": f"{statistics.fmean(gains):+.1f}{spread}",
                        "median": f"{statistics.median(gains):+.1f}",
                        "higher": sum(gain > 0 for gain in gains), "cases": len(gains),
                        "seeds": len(common),
                    }
                )  # fmt: skip
    return out


# ---------------------------------------------------------------------------------------- curves


def log_of(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of one of a run's CSV logs; empty if it does not exist."""
    path = folder / f"{name}.csv"
    return read_csv(path, ["step"]) if path.is_file() else []


def _column(rows: Sequence[Mapping[str, str]], name: str) -> tuple[list[float], list[float]]:
    """Steps and values of one column; rows without numbers are skipped."""
    pairs = []
    for row in rows:
        # the log of a running or killed training may end with an incomplete line
        with contextlib.suppress(ValueError, KeyError, TypeError):
            step, value = float(row["step"]), float(row[name])
            if math.isfinite(step):
                pairs.append((step, value))
    return [step for step, _ in pairs], [value for _, value in pairs]


def class_curves(folder: Path, network: str, classes: Sequence[str]) -> Markup:
    """Validation Dice of one run by class; the mean over classes is series 0."""
    rows = [row for row in log_of(folder, "validation") if row.get("network") == network]
    lines = [
        Curve(name, *_column(rows, name), index)
        for index, name in enumerate(["dice", *(classes if len(classes) > 1 else ())])
        if any(row.get(name) for row in rows)
    ]
    return Markup(figures.curves(lines, "iteration", "validation Dice", unit_interval=True))


def validation_facets(bench: Benchmark) -> list[tuple[str, Markup]]:
    """Validation Dice of every variant, per budget: thin lines for seeds, a thick line for their mean."""
    out = []
    for budget in bench.budgets:
        lines = []
        for index, variant in enumerate(bench.variants):
            runs = bench.of(budget, variant)
            own = []
            for s in runs:
                log = log_of(s.folder, "validation")
                rows = [r for r in log if r.get("network") == s.row["network"]]
                if rows:
                    own.append(Curve(variant, *_column(rows, "dice"), index, len(runs) > 1))
            lines += own
            common = sorted(set.intersection(*(set(c.x) for c in own))) if len(own) > 1 else []
            if common:
                tracks = [dict(zip(c.x, c.y, strict=True)) for c in own]
                means = [statistics.fmean(t[step] for t in tracks) for step in common]
                lines.append(Curve(variant, common, means, index))
        if lines:
            chart = figures.curves(lines, "iteration", "validation Dice", unit_interval=True)
            out.append((f"{labelled_words(budget, bench.budgets)} labelled", Markup(chart)))
    return out


def losses(bench: Benchmark) -> list[dict[str, Any]]:
    """The loss terms of the first seed of every variant and budget."""
    out = []
    for budget in bench.budgets:
        for variant in bench.variants:
            for s in bench.of(budget, variant)[:1]:
                title = f"{variant}, {labelled_words(budget, bench.budgets)} labelled, seed {s.row['seed']}"
                out += [{**chart, "title": title} for chart in loss_charts(s.folder)[:1]]
    return out


def loss_charts(folder: Path) -> list[dict[str, Any]]:
    """The loss terms and the learning rate of one run, with legends."""
    rows = log_of(folder, "metrics")
    if not rows:
        return []
    terms = [name for name in rows[0] if name not in ("step", "lr", "seconds")]
    if len(terms) == 2:  # equals the only term
        terms = [name for name in terms if name != "loss"]
    lines = [Curve(name, *_column(rows, name), index) for index, name in enumerate(terms)]
    lines = [line for line in lines if line.x]
    rate = [Curve("learning rate", *_column(rows, "lr"), 0)]
    return [
        {
            "title": "Loss terms",
            "chart": Markup(
                figures.curves(lines, "iteration", "weighted loss terms", logarithmic=True)
            ),
            "legend": [(line.index, line.name) for line in lines],
        },
        {
            "title": "Learning rate",
            "chart": Markup(figures.curves(rate, "iteration", "learning rate")),
            "legend": [],
        },
    ]


def by_budget(bench: Benchmark) -> Markup | None:
    """Dice over the number of labelled patients.

    None if fewer than two budgets have a known size, or if lines of one budget have different seeds.
    """
    sizes = {b: tables.budget_order(b, available_of(bench.data)) for b in bench.budgets}
    known = {budget: key[1] for budget, key in sizes.items() if key[0] == 0}
    if bench.data is not None and "all" in sizes:
        known["all"] = float(available_of(bench.data))
    if len(set(known.values())) < 2:
        return None
    lines: dict[str, list[tuple[float, float]]] = {}
    made = [line for line in tables.make_lines([s.row for s in bench.scored]) if line.default]
    if len({(line.labelled, line.seeds) for line in made}) > len(bench.budgets):
        return None
    for line in made:
        spread = line.values.get((None, "dice"))
        if spread is not None and line.labelled in known:
            lines.setdefault(line.variant, []).append((known[line.labelled], spread.mean))
    drawn = [
        Curve(
            name, [x for x, _ in sorted(points)], [y for _, y in sorted(points)],
            bench.variants.index(name), dots=True,
        )
        for name, points in lines.items()
    ]  # fmt: skip
    return Markup(figures.curves(drawn, "labelled patients", "Dice", unit_interval=True))
