"""Shared by the benchmarks: warm-up, median and spread, and peak memory in a new process."""

import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch


@dataclasses.dataclass(frozen=True)
class Timing:
    """The median and the extremes of the seconds of several calls."""

    median: float
    fastest: float
    slowest: float

    def __str__(self) -> str:
        """``1.23 s (1.20 to 1.31)``."""
        unit, factor = ("s", 1.0) if self.median >= 0.1 else ("ms", 1000.0)
        low, high = factor * self.fastest, factor * self.slowest
        return f"{factor * self.median:.3g} {unit} ({low:.3g} to {high:.3g})"


def clock(call: Callable[[], object], device: str = "cpu") -> float:
    """Measure the seconds of one call; wait until a GPU has finished."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def summary(seconds: Sequence[float]) -> Timing:
    """Median and extremes."""
    return Timing(statistics.median(seconds), min(seconds), max(seconds))


def in_turn(
    calls: Mapping[str, Callable[[], object]], repeats: int, device: str = "cpu", warmup: int = 1
) -> dict[str, Timing]:
    """Time several calls alternately, so that other processes affect all of them alike."""
    for call in calls.values():
        for _ in range(warmup):
            clock(call, device)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(clock(call, device))
    return {name: summary(values) for name, values in times.items()}


def memory_mib() -> float:
    """The peak resident memory of this process in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux, getrusage() includes the memory of the parent process
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    unit = 1024.0 if sys.platform != "darwin" else 1024.0**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peak_mib(call: Callable[[], object], device: str = "cpu") -> float:
    """The increase of the peak memory by ``call``. Only valid for the first call in a process."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before_rss = memory_mib()
    call()
    return memory_mib() - before_rss


def in_fresh_process(script: str, *arguments: str) -> dict[str, Any]:
    """Run a script in a new process; return the JSON in its last line of output."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(Path(script).resolve()), *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{Path(script).name} {' '.join(arguments)} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def one_thread() -> None:
    """Use one core."""
    torch.set_num_threads(1)


def verdict(value: float, target: float, *, at_most: bool) -> str:
    """``target at most 6: met``."""
    met = value <= target if at_most else value >= target
    return f"target {'at most' if at_most else 'at least'} {target:g}: {'met' if met else 'MISSED'}"
