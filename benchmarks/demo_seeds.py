"""Does the demo's message hold for other seeds? Test Dice of supervised and mcsc, seed by seed.

    python benchmarks/demo_seeds.py --seeds 0,1,2,3,4 --out demo-seeds

Runs ``semiseg demo`` once a seed, which draws the phantom, the labelled patients and the trainings,
and prints the mean Dice over classes of each method's network for inference on the test part, then
the mean difference with its 95% t-interval over seeds. What is finished is not done again, so that
it can be interrupted, repeated and extended by further seeds.
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
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.benchmark import evaluation_name
from semiseg.workflows.demo import LABELLED, PATIENTS, demo

METHODS = ("supervised", "mcsc")


def test_dice(bench: Path, method: str, labelled: str, seed: int) -> float:
    """Mean Dice over classes, of the network that a method uses for inference.

    Raises:
        UserError: where the demo left no such summary.
    """
    for folder in sorted(bench.glob(f"runs/{method}-*-s{seed}")):
        split = json.loads((folder / "split.json").read_text(encoding="utf-8"))
        if split["budget"] == labelled:
            network = methods.entry(method).load().networks_of(RunFolder(folder).config())[0]
            path = folder / evaluation_name("test", network) / "summary.json"
            if path.is_file():
                summary = json.loads(path.read_text(encoding="utf-8"))
                return float(summary["mean_over_classes"]["dice"]["mean"])
    raise UserError(f"{bench} holds no test scores of {method}: repeat the command.")


def interval(differences: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Mean and half width of the t-interval of paired differences (two or more)."""
    mean = statistics.fmean(differences)
    count = len(differences)
    error = statistics.stdev(differences) / math.sqrt(count)
    return mean, float(stats.t.ppf((1 + level) / 2, count - 1)) * error


def whole_numbers(text: str) -> list[int]:
    """``0,1,2``, each once."""
    return list(dict.fromkeys(int(part) for part in text.split(",")))


def main() -> None:
    """Run the demos that are missing, print each seed and the interval."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds", type=whole_numbers, default="0,1,2,3,4", metavar="0,1,2,...",
        help="one demo each (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("demo-seeds"), help="folder, new or begun (%(default)s)"
    )
    parser.add_argument("--patients", type=int, default=PATIENTS, help="of each phantom")
    parser.add_argument("--labelled", default=LABELLED, help="labelled training patients")
    parser.add_argument("--iterations", type=int, help="default: those of the demo")
    parser.add_argument("--jobs", type=int, help="trainings at a time (default: the demo's)")
    parser.add_argument("--verbose", action="store_true", help="say what the demos say")
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
        print("One seed tells no spread: take two or more for an interval.")
        return
    mean, half = interval(differences)
    better = sum(difference > 0 for difference in differences)
    print(
        f"{METHODS[1]} minus {METHODS[0]}, test Dice: {mean:+.4f}, 95% t-interval over "
        f"{len(differences)} seeds {mean - half:+.4f} to {mean + half:+.4f}; above 0 in {better}"
    )


if __name__ == "__main__":
    main()
