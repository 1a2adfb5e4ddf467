"""Compare the test Dice of supervised and mcsc in the demo for several seeds.

    python benchmarks/demo_seeds.py --seeds 0,1,2,3,4 --out demo-seeds

Runs ``semiseg demo`` once per seed, which determines the phantom, the labelled patients and the trainings.
Prints the mean Dice over classes of each method's network for inference on the test part, then the mean
difference with its 95% t-interval over seeds. Finished demos are not repeated, so the script can be
interrupted, resumed and extended by further seeds.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from scipy import stats

from semiseg import methods
from semiseg.console import Console, Quiet
from semiseg.errors import RunFailure, UserError
from semiseg.training.benchmark_file import evaluation_name
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.demo import LABELLED, PATIENTS, demo

METHODS = ("supervised", "mcsc")


def test_dice(bench: Path, method: str, labelled: str, seed: int) -> float:
    """Mean Dice over classes of a method's network for inference.

    Raises:
        UserError: if the demo wrote no such summary.
    """
    for folder in sorted(bench.glob(f"runs/{method}-*-s{seed}")):
        split = json.loads((folder / "split.json").read_text(encoding="utf-8"))
        if split["budget"] == labelled:
            network = methods.entry(method).load().network_attributes(RunFolder(folder).config())[0]
            path = folder / evaluation_name("test", network, "best") / "summary.json"
            if path.is_file():
                summary = json.loads(path.read_text(encoding="utf-8"))
                return float(summary["mean_over_classes"]["dice"]["mean"])
    raise UserError(f"{bench} contains no test scores of {method}: run the same command again.")


def interval(differences: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Mean and half width of the t-interval of two or more paired differences."""
    mean = statistics.fmean(differences)
    count = len(differences)
    error = statistics.stdev(differences) / math.sqrt(count)
    return mean, float(stats.t.ppf((1 + level) / 2, count - 1)) * error


def whole_numbers(text: str) -> list[int]:
    """Parse ``0,1,2``, without duplicates."""
    return list(dict.fromkeys(int(part) for part in text.split(",")))


def main() -> None:
    """Run the unfinished demos; print the scores of each seed and the interval."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds", type=whole_numbers, default="0,1,2,3,4", metavar="0,1,2,...",
        help="one demo each (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-seeds"),
        help="folder for the demos (default: %(default)s)",
    )
    parser.add_argument("--patients", type=int, default=PATIENTS, help="patients of each phantom")
    parser.add_argument("--labelled", default=LABELLED, help="number of labelled training patients")
    parser.add_argument("--iterations", type=int, help="training iterations (default: the demo's)")
    parser.add_argument("--jobs", type=int, help="trainings at the same time (default: the demo's)")
    parser.add_argument("--verbose", action="store_true", help="print the messages of the demos")
    chosen = parser.parse_args()
    print(f"{'seed':>6}  {METHODS[0]:>10}  {METHODS[1]:>10}  difference", flush=True)
    differences = []
    for seed in chosen.seeds:
        try:
            result = demo(
                chosen.out / f"seed{seed}", seed=seed, patients=chosen.patients,
                labelled=chosen.labelled, iterations=chosen.iterations, jobs=chosen.jobs,
                console=Console() if chosen.verbose else Quiet(),
            )  # fmt: skip
            dice = [test_dice(result.bench, name, chosen.labelled, seed) for name in METHODS]
        except (UserError, RunFailure) as error:
            sys.exit(f"seed {seed}: {error}")
        differences.append(dice[1] - dice[0])
        print(f"{seed:>6}  {dice[0]:>10.4f}  {dice[1]:>10.4f}  {differences[-1]:+.4f}", flush=True)
    if len(differences) < 2:
        print("The interval needs two or more seeds.")
        return
    mean, half = interval(differences)
    better = sum(difference > 0 for difference in differences)
    print(
        f"{METHODS[1]} minus {METHODS[0]}, test Dice: {mean:+.4f}, 95% t-interval over "
        f"{len(differences)} seeds {mean - half:+.4f} to {mean + half:+.4f}; above 0 in {better}"
    )


if __name__ == "__main__":
    main()
