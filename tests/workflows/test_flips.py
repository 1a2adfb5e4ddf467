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


@pytest.mark.parametrize(
    ("settings", "copies"),
    [
        (["quarter_turns_and_flips=0"], 0),
        (["quarter_turns_and_flips=0.5"], 4),
        (["quarter_turns_and_flips=0", "mirror_axes=[1]"], 2),
        (["quarter_turns_and_flips=0", "mirror_axes=[1, 0]"], 4),
    ],
)
def test_flips_need_a_training_with_flips(
    small_data: PreparedData, tmp_path: Path, settings: list[str], copies: int
) -> None:
    given = [*small_settings("supervised"), *(f"data.{setting}" for setting in settings)]
    run = tmp_path / "run"
    train(small_data.folder, run, method="supervised", labelled="2",
          settings=[*given, "training.iterations=1"], console=Quiet())  # fmt: skip
    if copies:
        flips = load_predictor(run, flips=True).flips
        assert len(flips) == copies
        assert flips[:2] == ((), (-1,))  # the last axis is that of columns
        assert len(load_predictor(run).flips) == 1
        assert evaluate(run, on="validation", flips=True, console=Quiet()).cases == 2
        return
    words = r"--flips: .* was trained without flips.*data\.mirror_axes"
    with pytest.raises(UserError, match=words):
        load_predictor(run, flips=True)
    with pytest.raises(UserError, match=words):
        evaluate(run, on="validation", flips=True, console=Quiet())
    assert not (run / "evaluation").exists()
