"""Train and score every method for slices under the same conditions, and print one table.

    python benchmarks/all_methods.py DATA BENCH --labelled 7,3 --seeds 0 --jobs 2

Every method is trained with its profile for a machine without a GPU (``--preset cpu``), but all with 96 x
96 pixels, 2,000 iterations and 4 labelled and 4 unlabelled images a step. The weights of the last iteration
are scored on the validation patients. An interrupted call is resumed by the same one, and more budgets
or seeds extend it. With ``--print``, only finished runs are printed. ``supervised`` fills its batch with
labelled images; "supervised, labelled part" sees only as many as the other methods do.

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
from semiseg.reporting.tables import (
    classes_of,
    columns_of,
    make_lines,
    metric_of,
    shown,
    title_of,
)

COSTS = Path(__file__).with_name("step_costs.json")
STUDY = Path(__file__).with_name("labelled_part.yaml")
BASELINE = "supervised"
CONDITIONS = (
    "data.size=96",
    "training.iterations=2000",
    "training.batch_size=8",
    "training.labelled_batch_size=4",
)


def names_of_methods() -> list[str]:
    """The methods for slices, the baseline first."""
    names = [name for name, entry in methods.table().items() if 2 in entry.dimensions]
    return [BASELINE, *(name for name in names if name != BASELINE)]


def dice_of(scored: Sequence[Scored], variant: str) -> dict[int, float]:
    """Seed -> mean Dice over classes in percent."""
    return {
        one.row["seed"]: 100 * one.row["summary"]["mean_over_classes"]["dice"]["mean"]
        for one in scored
        if one.row["variant"] == variant
    }


def counted(scored: Sequence[Scored], variant: str, status: str) -> str:
    """The structures of a status in all classes, as the mean over seeds."""
    own = [
        one.row["summary"]["classes"].values() for one in scored if one.row["variant"] == variant
    ]
    return f"{statistics.fmean(sum(c['cases'][status] for c in classes) for classes in own):.0f}"


def rows_of(scored: Sequence[Scored], costs: Mapping[str, Any]) -> list[list[str]]:
    """The rows of one budget, the heads first."""
    rows = [one.row for one in scored]
    keys = [(None, "dice"), *((name, "dice") for name in classes_of(rows))]
    keys += [(None, c) for c in columns_of(rows) if metric_of(c) in ("hd95", "asd")]
    titles = [name or title_of(column).removesuffix(" [%]") for name, column in keys]
    heads = [
        "method", "seeds", titles[0], f"against {BASELINE}", *titles[1:], "missed", "spurious",
        "s/step", "MiB", "million parameters",
    ]  # fmt: skip
    out = [heads]
    base = dice_of(scored, BASELINE)
    for line in make_lines(rows):
        name = line.variant
        own = {} if name == BASELINE else dice_of(scored, name)
        gain = [dice - base[seed] for seed, dice in own.items() if seed in base]
        cells = [shown(key[1], line.values.get(key)) for key in keys]
        cost = costs.get(name)
        out.append(
            [
                name, str(len(line.seeds)), cells[0],
                f"{statistics.fmean(gain):+.1f}" if gain else "", *cells[1:],
                *(counted(scored, name, status) for status in ("missing", "spurious")),
                *([f"{cost['seconds']:.2f}", f"{cost['peak']:.0f}", f"{cost['parameters'] / 1e6:.1f}"]
                  if cost else ["", "", ""]),
            ]
        )  # fmt: skip
    return out


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
            study=str(STUDY), preset="cpu", jobs=options.jobs,
            settings=[f"training.precision={options.precision}", *CONDITIONS],
        )  # fmt: skip
    print_tables(options.bench)


if __name__ == "__main__":
    main()
