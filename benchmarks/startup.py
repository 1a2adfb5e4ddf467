"""How long ``semiseg --help`` and ``semiseg methods`` take, beside a bare interpreter and torch.

    python benchmarks/startup.py

Every call is a process of its own; the first of each is a warm-up. Beside the wall time stands the
processor time, which other work on the machine does not stretch.
"""

import argparse
import os
import resource
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


def wall(arguments: list[str], repeats: int) -> tuple[Timing, Timing]:
    """Seconds from start to end of a process, and those that it computed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    times, computed = [], []
    for _ in range(repeats + 1):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *arguments], env=environment, check=True, capture_output=True
        )
        times.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        computed.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return summary(times[1:]), summary(computed[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    timings = {name: wall(arguments, options.repeats) for name, arguments in CALLS.items()}
    base = timings["python -c pass"][0].median
    for name, (timing, computed) in timings.items():
        note = f", {verdict(timing.median, 0.5, at_most=True)}" if "semiseg" in name else ""
        ratio = f"{timing.median / base:.1f} bare interpreters"
        print(f"{name:26} {timing}, computing {computed.median:.2f} s, {ratio}{note}")


if __name__ == "__main__":
    main()
