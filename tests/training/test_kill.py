"""A killed and resumed training has the weights of an uninterrupted one, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from semiseg.console import Quiet
from semiseg.csv_files import read_csv
from semiseg.data.manifest import PreparedData
from semiseg.testing.data import small_settings
from semiseg.training.checkpoints import newest_step
from semiseg.workflows.train import resume, train

SETTINGS = (*small_settings("mcsc"), "training.iterations=24", "training.validate_every=12")


def begin(data: PreparedData, out: Path, *more: str) -> "subprocess.Popen[str]":
    """``semiseg train`` in a separate process."""
    command = [
        sys.executable, "-m", "semiseg.cli.main", "train", str(data.folder),
        "-o", str(out), "--method", "mcsc", "--labelled", "2", "--device", "cpu",
        "--threads", "1",
    ]  # fmt: skip
    for setting in (*SETTINGS, *more):
        command += ["--set", setting]
    return subprocess.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # the tests may be a shell's background job, whose children inherit that Ctrl-C is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_for(process: "subprocess.Popen[str]", pattern: str, folder: Path) -> None:
    deadline = time.monotonic() + 90
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_at_hand_and_loses_nothing(
    small_data: PreparedData, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "a run"
    process = begin(
        small_data, out, "training.iterations=100000", "training.checkpoint_every=100000"
    )
    wait_for(process, "metrics.csv", out)
    process.send_signal(number)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    (checkpoint,) = (out / "checkpoints").glob("step-*.pt")
    done = int(checkpoint.stem.partition("-")[2])
    assert 0 < done < 100_000
    assert f"stopped after {done:,} iteration" in said
    assert f"semiseg train --resume -o '{out}'" in said
    assert not (out / "finished.json").exists()
    steps = [int(row["step"]) for row in read_csv(out / "metrics.csv")]
    assert steps == list(range(1, done + 1))
    resume(out, device="cpu", threads=1, seconds=0, console=Quiet())
    assert newest_step(out / "checkpoints") == done + 1


def test_kill_nine_and_resume(small_data: PreparedData, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = begin(small_data, killed)
    wait_for(process, "step-*.pt", killed / "checkpoints")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "finished.json").exists()

    resume(killed, device="cpu", threads=1, console=Quiet())
    train(
        small_data.folder, whole, method="mcsc", labelled="2", settings=SETTINGS, device="cpu",
        threads=1, console=Quiet(),
    )  # fmt: skip
    for name in ("last", "best"):
        one, other = (
            load_file(str(run / "weights" / f"{name}.safetensors")) for run in (killed, whole)
        )
        assert one.keys() == other.keys()
        assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())
    rows = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in read_csv(run / "metrics.csv")]
        for run in (killed, whole)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 24
