"""Time ``--help``, ``methods`` and ``predict``, compared with ``python -c pass`` and torch.

    python benchmarks/startup.py

Every call runs in a new process. The first call of each is a warm-up, and the calls alternate. Wall time
and processor time are printed; the latter depends less on other processes. ``predict`` segments one small
volume with a small U-Net, so that its time is mostly start-up.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from common import Timing, summary, verdict
from loading import generated

SEMISEG = ["-m", "semiseg.cli.main"]
BARE, TORCH, PREDICT = "python -c pass", "python -c 'import torch'", "semiseg predict"
CALLS = {
    BARE: ["-c", "pass"],
    "semiseg --help": [*SEMISEG, "--help"],
    "semiseg methods": [*SEMISEG, "methods"],
    "semiseg train --help": [*SEMISEG, "train", "--help"],
    "import semiseg": ["-c", "import semiseg"],
    TORCH: ["-c", "import torch"],
}
SETTINGS = (
    "data.size=32", "unet.channels=[8,8,8,8,8]", "training.iterations=1", "training.batch_size=2",
    "training.labelled_batch_size=1",
)  # fmt: skip


def spent(arguments: list[str]) -> tuple[float, float]:
    """Wall time and processor time of a process, in seconds."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prediction(folder: Path) -> list[str]:
    """Train a small U-Net for one step and write a volume; return the command that predicts it."""
    import nibabel

    data, run, image = folder / "data", folder / "run", folder / "image.nii.gz"
    generated(data, 2)
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    spent([*SEMISEG, "train", str(data), "--method", "supervised", "-o", str(run), *settings])
    values = np.random.default_rng(0).integers(0, 500, (64, 64, 4)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), image)
    return [*SEMISEG, "predict", str(run), str(image), "-o", str(folder / "masks"), "--overwrite"]


def measure(
    calls: dict[str, list[str]], repeats: int
) -> tuple[dict[str, Timing], dict[str, Timing]]:
    """Measure wall and processor times of several alternating calls."""
    wall: dict[str, list[float]] = {name: [] for name in calls}
    computed: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, arguments in calls.items():
            seconds, processor = spent(arguments)
            if repeat:
                wall[name].append(seconds)
                computed[name].append(processor)
    return {n: summary(t) for n, t in wall.items()}, {n: summary(t) for n, t in computed.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        calls = CALLS | {PREDICT: prediction(Path(folder))}
        wall, computed = measure(calls, options.repeats)
    for name, timing in wall.items():
        quick = "semiseg" in name and name != PREDICT
        note = f", {verdict(timing.median, 0.5, at_most=True)}" if quick else ""
        ratio = f"{timing.median / wall[BARE].median:.1f} x {BARE}"
        print(f"{name:26} {timing}, processor time {computed[name].median:.2f} s, {ratio}{note}")
    for what, times in (("wall time", wall), ("processor time", computed)):
        ratio_of_torch = times[PREDICT].median / times[TORCH].median
        print(
            f"semiseg predict / import torch, {what}: {ratio_of_torch:.2f}, "
            f"{verdict(ratio_of_torch, 1.5, at_most=True)}"
        )


if __name__ == "__main__":
    main()
