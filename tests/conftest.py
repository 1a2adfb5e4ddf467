"""Fixtures of all tests: one torch thread, and a prepared data set of a few small slices."""

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # also for the processes that tests start

import pytest
import torch

from semiseg.data.manifest import PreparedData
from semiseg.testing.data import write_slices


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """With other processes running, two threads are many times slower than one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """The small data set, which tests must not change."""
    return write_slices(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture
def write_data() -> Callable[[Path], PreparedData]:
    """A function that writes the small data set into a new folder."""
    return write_slices
