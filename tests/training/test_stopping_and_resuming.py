"""Trainings that end early (by a time limit, an error or a damaged checkpoint), and their resumption."""

import itertools
from pathlib import Path

import pytest
from small_runs import Recorder, StoppedError, last, run, same
from torch import Tensor

from semiseg.console import Quiet
from semiseg.csv_files import read_csv
from semiseg.data.manifest import PreparedData
from semiseg.errors import RunFailure, UserError
from semiseg.losses import dice
from semiseg.methods import cross_teaching
from semiseg.testing.data import small_settings
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.train import resume, train


@pytest.mark.parametrize("rhythm", [1, 10])  # detected at once, or at the next checkpoint
def test_a_non_finite_loss_names_its_term_and_keeps_the_last_good_checkpoint(
    small_data: PreparedData, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    rhythm: int,
) -> None:  # fmt: skip
    calls = itertools.count()

    def spoilt(logits: Tensor, pseudo_label: Tensor) -> Tensor:
        value = dice.dice_loss(logits.float().softmax(1), pseudo_label)
        return value * float("nan") if next(calls) >= 2 * 2 else value  # from the third step on

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(cross_teaching, "cross_loss", spoilt)
        with pytest.raises(RunFailure, match=r"'cross_unet' is not finite at iteration 3"):
            run(
                small_data, out, "cross-teaching", f"training.log_every={rhythm}",
                "training.validate_every=6",
            )  # fmt: skip
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["step-0000002.pt"]
    resume(out, device="cpu", console=Quiet())
    assert same(last(out), last(finished))


def test_a_time_limit_ends_cleanly_and_resume_completes(
    small_data: PreparedData, finished: Path, tmp_path: Path
) -> None:
    out, console = tmp_path / "run", Recorder()
    for turn in range(2):
        if turn == 0:
            result = run(small_data, out, "cross-teaching", "training.gradient_sizes_every=3",
                         console=console, seconds=0.0)  # fmt: skip
        else:
            result = resume(out, device="cpu", console=console, seconds=0.0)
        assert result is not None
        assert (result.finished, result.iterations) == (False, turn + 1)
        assert not (out / "finished.json").exists()
        assert "--resume" in console.said[-1]
        assert last(out).keys() == last(finished).keys()  # the weights can be used
    result = resume(out, device="cpu", console=console)
    assert (result.finished, result.iterations) == (True, 6)
    assert same(last(out), last(finished))
    steps = [row["step"] for row in read_csv(out / "metrics.csv")]
    assert steps == [str(i) for i in range(1, 7)]
    assert resume(out, device="cpu", console=console).finished
    assert "nothing to do" in console.said[-1]


def test_a_truncated_checkpoint_is_passed_over_and_said(
    small_data: PreparedData, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(StoppedError):
        run(small_data, out, "cross-teaching", "training.gradient_sizes_every=3",
            console=Recorder(stop_after=5))  # fmt: skip
    newest = out / "checkpoints" / "step-0000004.pt"
    newest.write_bytes(newest.read_bytes()[:-2000])
    console = Recorder()
    resume(out, device="cpu", console=console)
    assert any("step-0000004.pt" in sentence for sentence in console.said)
    assert same(last(out), last(finished))
    for name in ("metrics.csv", "validation.csv", "gradients.csv"):
        rows = [
            [{k: v for k, v in row.items() if k != "seconds"} for row in read_csv(folder / name)]
            for folder in (out, finished)
        ]
        assert rows[0] == rows[1]


def test_a_run_folder_is_trained_by_one_process_at_a_time(
    small_data: PreparedData, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train(small_data.folder, out, method="supervised", labelled="2", seconds=0,
          settings=small_settings("supervised"), console=Quiet())  # fmt: skip
    before = sorted(out.rglob("*"))
    with (
        RunFolder(out).held(),
        pytest.raises(UserError, match="Another process is training in"),
    ):
        resume(out, console=Quiet())
    assert sorted(out.rglob("*")) == before
    assert resume(out, console=Quiet()).finished
