"""A training that was killed ends with the weights of one that was not, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from semiseg.data.manifest import PreparedData
from semiseg.reporting.console import Quiet
from semiseg.training.logs import read_csv
from semiseg.workflows.train import resume, train
from small import CONTRAST, SMALL

SETTINGS = (*SMALL, *CONTRAST, "training.iterations=24", "training.validate_every=12")


def test_kill_nine_and_resume(small_data: PreparedData, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [
        sys.executable, "-m", "semiseg.cli.main", "train", str(small_data.folder),
        "-o", str(killed), "--method", "mcsc", "--labelled", "2", "--device", "cpu",
        "--threads", "1",
    ]  # fmt: skip
    for setting in SETTINGS:
        command += ["--set", setting]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 90
    while not list((killed / "checkpoints").glob("step-*.pt")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
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
