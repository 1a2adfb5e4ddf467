"""A finished run, which tests must not change."""

from pathlib import Path

import pytest
from small_runs import run

from semiseg.data.manifest import PreparedData


@pytest.fixture(scope="session")
def finished(small_data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of cross teaching without interruption."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    result = run(small_data, out, "cross-teaching", "training.gradient_sizes_every=3")
    assert result is not None
    assert result.finished
    assert result.iterations == 6
    return out
