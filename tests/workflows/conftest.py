"""A run for several tests."""

from pathlib import Path

import pytest

from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.testing.data import small_settings
from semiseg.workflows.train import train


@pytest.fixture(scope="session")
def run(small_data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PLGCL on two labelled patients, with intermediate weights."""
    out = tmp_path_factory.mktemp("runs") / "plgcl"
    settings = [*small_settings("plgcl"), "training.keep_weights_at=[2, 5]"]
    train(small_data.folder, out, method="plgcl", labelled="2", settings=settings, console=Quiet())
    return out
