"""Train and score every method for slices under the same conditions, and print one table.

    python benchmarks/all_methods.py DATA BENCH --labelled 7,3 --seeds 0 --jobs 2

Every method is trained with its profile for a machine without a GPU: the same size, images a step and
number of iterations (``--preset cpu``). The weights of the last iteration are scored on the validation
patients. An interrupted call is resumed by the same one, and more budgets or seeds extend it. With
``--print``, only finished runs are printed. ``supervised`` fills its batch with labelled images; "supervised,
labelled part" sees only as many as the other methods do.

Columns: mean Dice over classes, its change against `supervised` of the same seeds, Dice of each class, HD95,
ASD, structures that were missed and marked without being there (of all cases), and from
``benchmarks/step_costs.json`` seconds a step, peak memory and trained parameters.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import semiseg
from semiseg import methods
from semiseg.reporting.results import Scored, read_benchmark
from semiseg.reporting.tables import columns_of, metric_of, title_of

COSTS = Path(__file__).with_name("step_costs.json")
STUDY = Path(__file__).with_name("labelled_part.yaml")
BASELINE = "supervised"


def names_of_methods() -> list[str]:
    """The methods for slices, the baseline first."""
    names = [name for name, entry in methods.table().items() if 2 in entry.dimensions]
    return [BASELINE, *(name for name in names if name != BASELINE)]


def values_of(scored: Scored) -> dict[str, float]:
    """Column -> value of one network."""
    summary = scored.row["summary"]
    found = {f"DSC {name}": 100 * own["dice"]["mean"] for name, own in summary["classes"].items()}
    for column in columns_of([scored.row]):
        factor = 100 if metric_of(column) in ("dice", "iou") else 1
        found[column] = factor * summary["mean_over_classes"][column]["mean"]
    for status in ("missing", "spurious"):
        found[status] = sum(own["cases"][status] for own in summary["classes"].values())
    return found


def shown(values: Sequence[float], decimals: int) -> str:
    """Mean and standard deviation over seeds, if there are several."""
    text = f"{statistics.fmean(values):.{decimals}f}"
    return f"{text} ± {statistics.stdev(values):.{decimals}f}" if len(values) > 1 else text


def rows_of(scored: Sequence[Scored], costs: Mapping[str, Any]) -> list[list[str]]:
    """The rows of one budget, the heads first."""
    by_method: dict[str, dict[int, dict[str, float]]] = {}
    for one in scored:
        by_method.setdefault(one.row["variant"], {})[one.row["seed"]] = values_of(one)
    if not by_method:
        return []
    first = next(iter(next(iter(by_method.values())).values()))
    classes = [name for name in first if name.startswith("DSC ")]
    distances = [name for name in first if metric_of(name) in ("hd95", "asd")]
    heads = [
        "method", "seeds", "DSC", f"against {BASELINE}", *(name.removeprefix("DSC ") for name in classes),
        *map(title_of, distances), "missed", "spurious", "s/step", "MiB", "million parameters",
    ]  # fmt: skip
    rows = [heads]
    base = by_method.get(BASELINE, {})
    for name, seeds in by_method.items():
        own = list(seeds.values())
        common = [seed for seed in seeds if seed in base and name != BASELINE]
        gain = [seeds[seed]["dice"] - base[seed]["dice"] for seed in common]
        cost = costs.get(name)
        rows.append(
            [
                name, str(len(own)), shown([v["dice"] for v in own], 1),
                f"{statistics.fmean(gain):+.1f}" if gain else "",
                *(shown([v[key] for v in own], 1) for key in classes),
                *(shown([v[key] for v in own], 2 if "asd" in key else 1) for key in distances),
                *(f"{statistics.fmean(v[key] for v in own):.0f}" for key in ("missing", "spurious")),
                *([f"{cost['seconds']:.2f}", f"{cost['peak']:.0f}", f"{cost['parameters'] / 1e6:.1f}"]
                  if cost else ["", "", ""]),
            ]
        )  # fmt: skip
    return rows


def print_tables(bench: Path) -> None:
    """Print a Markdown table for each budget."""
    found = read_benchmark(bench)
    costs = {row["method"]: row for row in json.loads(COSTS.read_text(encoding="utf-8"))}
    for budget in found.budgets:
        rows = rows_of(found.of(budget), costs)
        rows.insert(1, ["---", *["---:"] * (len(rows[0]) - 1)])
        print(f"\n{budget} labelled\n")
        print("\n".join(f"| {' | '.join(row)} |" for row in rows))


def main() -> None:
    """Run what is unfinished, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="a prepared data set")
    parser.add_argument("bench", type=Path, help="the folder of the benchmark")
    parser.add_argument("--labelled", default="7,3", help="numbers of labelled patients")
    parser.add_argument("--seeds", default="0", help="seeds of the trainings")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at the same time")
    parser.add_argument("--precision", default="auto", help="training.precision")
    parser.add_argument(
        "--print", dest="only", action="store_true", help="print finished runs only"
    )
    options = parser.parse_args()
    if not options.only:
        semiseg.benchmark(
            options.data, options.bench, methods=names_of_methods(),
            labelled=options.labelled.split(","), seeds=[int(s) for s in options.seeds.split(",")],
            study=str(STUDY), preset="cpu", settings=[f"training.precision={options.precision}"],
            jobs=options.jobs,
        )  # fmt: skip
    print_tables(options.bench)


if __name__ == "__main__":
    main()
