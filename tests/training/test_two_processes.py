"""Two processes equal one process that runs both half-batches and averages their gradients.

One pair of processes trains all methods, one after the other.
"""

import copy
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from semiseg import methods
from semiseg.csv_files import read_csv
from semiseg.data.loader import BatchLoader
from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Step
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config
from semiseg.training.loop import batch_counts, seed_step
from semiseg.training.optimiser import build_optimisers, set_rates
from semiseg.training.patients import cases_of, choose_patients

METHODS = tuple(name for name, entry in methods.table().items() if 2 in entry.dimensions)
TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def pair(small_data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run with two processes per method."""
    out = tmp_path_factory.mktemp("pair")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr",
        "127.0.0.1", "--master-port", str(port), str(TESTS / "two_processes.py"),
        str(small_data.folder), str(out), *METHODS,
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def emulate(data: PreparedData, name: str) -> tuple[dict[str, Tensor], list[float]]:
    """Weights after the run, and the first process's loss of every step."""
    config = resolve_config(data.manifest, name, None, small_settings(name), small=True).config
    cases = cases_of(data, choose_patients(data, "2", None))
    torch.manual_seed(config.training.seed)
    method = methods.entry(name).load()(data.task, config)
    replica = copy.deepcopy(method)
    counts, total = batch_counts(method, config), config.training.iterations
    loaders = [
        BatchLoader(
            data,
            cases.labelled,
            cases.unlabelled,
            counts,
            config.data,
            0,
            rank,
            2,
            distance_maps=method.needs_distance_maps,
        )
        for rank in range(2)
    ]
    optimisers: Any = build_optimisers(method.parameter_groups(), config.training)
    losses = []
    for index in range(total):
        replica.load_state_dict(method.state_dict())  # the first process's averages of batch norm
        set_rates(optimisers, index, config.training)
        for rank, model in enumerate((method, replica)):
            model.train()
            model.zero_grad()
            seed_step(0, index, rank)
            terms = model(loaders[rank](index), Step(index, total))
            loss = torch.stack(list(terms.values())).sum()
            loss.backward()
            if rank == 0:
                losses.append(loss.item())
        for own, other in zip(method.parameters(), replica.parameters(), strict=True):
            assert (own.grad is None) == (other.grad is None)
            if own.grad is not None and other.grad is not None:
                own.grad.add_(other.grad).div_(2)
        for optimiser in optimisers:
            optimiser.step()
        method.after_step(Step(index, total))
    return method.state_dict(), losses


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_equal_the_half_batches_in_turn(
    small_data: PreparedData, pair: Path, name: str
) -> None:
    weights, losses = emulate(small_data, name)
    trained = load_file(str(pair / name / "weights" / "last.safetensors"))
    assert trained.keys() == weights.keys()
    for key, tensor in trained.items():
        torch.testing.assert_close(tensor, weights[key], rtol=1e-5, atol=1e-6, msg=key)
    rows = read_csv(pair / name / "metrics.csv")
    assert [row["step"] for row in rows] == [str(i) for i in range(1, 7)]
    assert [float(row["loss"]) for row in rows] == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_the_first_process_alone_writes(pair: Path, name: str) -> None:
    run = pair / name
    assert (run / "finished.json").is_file()
    assert '"world_size": 2' in (run / "run.json").read_text()
    assert [row["step"] for row in read_csv(run / "validation.csv")] == ["3", "6"]
    assert not list(run.rglob(".partial*"))
