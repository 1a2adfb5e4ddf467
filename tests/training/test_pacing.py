"""Trainings with a time limit: the schedule follows the time used, measured by an injected clock."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.methods.base import Step
from semiseg.testing.data import small_settings
from semiseg.training import loop, time_limit
from semiseg.training.configuration import resolve_config
from semiseg.training.logs import read_csv
from semiseg.training.loop import Hooks, fit
from semiseg.training.pacing import Pace, Progress
from semiseg.training.patients import cases_of, choose_patients
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.train import resume, train

LIMIT = 100.0


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def positions(each: Callable[[int], float], total: int = 50) -> tuple[list[Step], Progress]:
    """The steps of a schedule whose step ``n`` takes ``each(n)`` seconds."""
    pace, progress, used = Pace(total, LIMIT), Progress(), 0.0
    pace.begin(progress)
    steps = []
    while not progress.ended:
        steps.append(pace.step(progress))
        used += each(progress.done)
        pace.advance(progress, used)
    return steps, progress


@pytest.mark.parametrize(
    "each",
    [lambda n: 2.0, lambda n: 0.3, lambda n: 7.0, lambda n: 1.0 if n < 30 else 6.0],
    ids=["as measured", "faster", "slower", "busy later"],
)
def test_the_schedule_ends_in_time_at_any_speed(each: Callable[[int], float]) -> None:
    steps, progress = positions(each)
    assert progress.seconds == pytest.approx(LIMIT, rel=0.04)
    index = [step.index for step in steps]
    assert index[0] == 0
    assert index == sorted(index)
    assert index[-1] >= 0.9 * 50
    # whatever happens at one iteration happens once
    for at in (0, 1, 17, index[-1]):
        assert sum(step.reached(at) for step in steps) == 1


def test_by_iterations_nothing_changes() -> None:
    pace, progress = Pace(4), Progress()
    pace.begin(progress)
    steps, validated = [], []
    while not progress.ended:
        steps.append(pace.step(progress))
        pace.advance(progress, 9.0 * progress.done)
        validated.append(pace.validates(progress, 2))
    assert steps == [Step(n, 4, n - 1) for n in range(4)]
    assert validated == [False, True, False, True]


def config_for(data: PreparedData, *more: str) -> RunConfig:
    settings = [*small_settings("supervised"), "training.iterations=20", *more]
    return resolve_config(data.manifest, "supervised", None, settings).config


def test_validation_and_slow_steps_count(
    small_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()

    def scored(*_: object) -> dict[str, float]:
        clock.now += 8.0
        return {"dice": 0.5}

    monkeypatch.setattr(loop, "validation_dice", scored)
    config = config_for(small_data, f"training.seconds={LIMIT}", "training.validate_every=1")
    moved = []

    def advance(steps: int, note: str) -> None:
        moved.append(steps)
        clock.now += 2.0 if clock.now < 50 else 5.0

    split = choose_patients(small_data, "2", None)
    method = methods.entry("supervised").load()(small_data.task, config)
    progress = fit(
        Fabric(accelerator="cpu", devices=1), method, small_data, cases_of(small_data, split), config,
        RunFolder(tmp_path), Hooks(advance, clock=clock),
    )  # fmt: skip
    assert progress.ended
    assert progress.seconds == pytest.approx(LIMIT, rel=0.1)
    assert sum(moved) == 20  # the bar is full
    rows = read_csv(tmp_path / "validation.csv")
    assert 8.0 * len(rows) <= 0.4 * LIMIT
    rates = [float(row["lr"]) for row in read_csv(tmp_path / "metrics.csv")]
    assert rates[-1] < 0.15 * rates[0]


def test_a_schedule_is_resumed_where_it_was(small_data: PreparedData, tmp_path: Path) -> None:
    settings = [*small_settings("supervised"), "training.seconds=0.3", "training.iterations=9"]
    words = {"labelled": "2", "console": Quiet(), "threads": 1, "settings": settings}
    result = train(small_data.folder, tmp_path, method="supervised", seconds=0, **words)  # type: ignore[arg-type]
    assert result is not None
    assert not result.finished
    ended = resume(tmp_path, console=Quiet())
    assert ended.finished
    assert ended.iterations >= result.iterations


def test_a_time_sets_length_and_intervals(small_data: PreparedData) -> None:
    settings = ["training.validate_every=7"]
    resolved = resolve_config(small_data.manifest, "supervised", "cpu", settings)
    assert time_limit.given_length(resolved) is None
    training = time_limit.fit_to_time(resolved, 60.0, 0.5).config.training
    assert (training.seconds, training.iterations) == (60.0, 120)
    assert (training.validate_every, training.checkpoint_every) == (7, 12)
    by_itself = resolve_config(small_data.manifest, "supervised", "cpu", [])
    for cost, every, cases in ((0, 12, None), (3, 24, None), (9, 30, 8), (90, 30, 1)):
        training = time_limit.fit_to_time(by_itself, 60.0, 0.5, cost, 20).config.training
        assert (training.seconds, training.validate_every) == (60.0, every)
        assert training.validation_cases == cases
    with pytest.raises(UserError, match="--time must be above 0"):
        time_limit.fit_to_time(resolved, 0.0, 0.5)
    asked = resolve_config(small_data.manifest, "supervised", "cpu", ["training.iterations=7"])
    assert time_limit.given_length(asked) == "training.iterations"
