"""Data and a benchmark for all tests in this folder."""

from pathlib import Path

import pytest
from fabricated import make_benchmark, make_data

from semiseg.data.manifest import PreparedData


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    return make_data(tmp_path / "discs")


@pytest.fixture
def bench(data: PreparedData, tmp_path: Path) -> Path:
    """Two methods with two numbers of labelled patients and one seed."""
    runs = [
        ("supervised", "supervised", 2, 0, 4),
        ("mcsc", "mcsc", 2, 0, 1),
        ("supervised", "supervised", 1, 0, 99),
        ("mcsc", "mcsc", 1, 0, 3),
    ]
    return make_benchmark(data, tmp_path / "bench", runs)
