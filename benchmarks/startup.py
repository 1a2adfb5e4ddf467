"""How long ``semiseg --help`` and ``semiseg methods`` take, beside a bare interpreter and torch.

    python benchmarks/startup.py

Every call is a process of its own; the first of each is a warm-up.
"""

import argparse
import os
import subprocess
import sys
import time

from common import Timing, summary, verdict

CALLS = {
    "python -c pass": ["-c", "pass"],
    "semiseg --help": ["-m", "semiseg.cli.main", "--help"],
    "semiseg methods": ["-m", "semiseg.cli.main", "methods"],
    "semiseg train --help": ["-m", "semiseg.cli.main", "train", "--help"],
    "python -c 'import torch'": ["-c", "import torch"],
}


def wall(arguments: list[str], repeats: int) -> Timing:
    """Seconds from start to end of a process."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments], env=environment, check=True, capture_output=True
        )
        times.append(time.perf_counter() - start)
    return summary(times[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    timings = {name: wall(arguments, options.repeats) for name, arguments in CALLS.items()}
    base = timings["python -c pass"].median
    for name, timing in timings.items():
        note = f", {verdict(timing.median, 0.5, at_most=True)}" if "semiseg" in name else ""
        print(f"{name:26} {timing}, {timing.median / base:.1f} bare interpreters{note}")


if __name__ == "__main__":
    main()
