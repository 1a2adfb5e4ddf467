"""Test-time flips are refused where the training had none."""

from pathlib import Path

import pytest

from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.testing.data import small_settings
from semiseg.workflows.evaluate import evaluate
from semiseg.workflows.loading import load_predictor
from semiseg.workflows.train import train


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_flips_need_a_training_with_flips(
    small_data: PreparedData, tmp_path: Path, share: float
) -> None:
    settings = [*small_settings("supervised"), f"data.quarter_turns_and_flips={share}"]
    run = tmp_path / "run"
    train(small_data.folder, run, method="supervised", labelled="2",
          settings=[*settings, "training.iterations=1"], console=Quiet())  # fmt: skip
    if share:
        assert load_predictor(run, flips=True)
        assert evaluate(run, on="validation", flips=True, console=Quiet()).cases == 2
        return
    with pytest.raises(UserError, match=r"--flips: .* was trained without flips"):
        load_predictor(run, flips=True)
    with pytest.raises(UserError, match=r"--flips: .* was trained without flips"):
        evaluate(run, on="validation", flips=True, console=Quiet())
    assert not (run / "evaluation").exists()
