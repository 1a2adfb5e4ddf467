"""Script for two processes under torchrun: ``two_processes.py DATA OUT METHOD...`` trains each method."""

import sys
from pathlib import Path

import torch

from semiseg.console import Quiet
from semiseg.testing.data import small_settings
from semiseg.workflows.train import train

if __name__ == "__main__":
    torch.set_num_threads(1)
    data, out, *methods = sys.argv[1:]
    for method in methods:
        train(
            data, Path(out) / method, method=method, labelled="2",
            settings=small_settings(method), device="cpu", console=Quiet(),
        )  # fmt: skip
