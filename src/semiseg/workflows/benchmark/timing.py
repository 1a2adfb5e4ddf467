"""How long a benchmark takes, and the division of ``--time`` among its runs."""

import dataclasses
import math
from collections.abc import Sequence

from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.text import duration
from semiseg.training.device import torch_device
from semiseg.training.plan import Plan, plan_training
from semiseg.training.session import Session
from semiseg.training.time_limit import given_length
from semiseg.workflows.benchmark.plan import PlannedRun
from semiseg.workflows.benchmark.run import Execution

SCORING = 2.0  # seconds of a scored case, in predictions: distances take about as long
START = 5.0  # seconds of a run for loading and writing
LEAST = 0.3  # of a run's time for its training


@dataclasses.dataclass(frozen=True)
class RunTime:
    """Measured seconds of a run: training (by its iterations), and scoring with everything else."""

    training: float
    scoring: float


def measure_runs(
    data: PreparedData, runs: Sequence[PlannedRun], execution: Execution
) -> list[RunTime]:
    """Measure a step and a prediction of every variant; budgets and seeds take equally long."""
    measured: dict[str, tuple[float, float]] = {}
    out = []
    for run in runs:
        plan = _plan(data, run, execution)
        if run.variant.name not in measured:
            measured[run.variant.name] = _measure(plan, execution)
        step, prediction = measured[run.variant.name]
        split = plan.split.split
        scored = split.test if execution.common.on == "test" else split.validation
        cases = len(data.of_patients(scored, labelled=True))
        scoring = START + SCORING * prediction * cases
        out.append(RunTime(step * plan.config.training.iterations, scoring))
    return out


def check_lengths(data: PreparedData, runs: Sequence[PlannedRun], execution: Execution) -> None:
    """Check that no run has a number of iterations beside ``--time``.

    Raises:
        UserError: if one has.
    """
    for run in runs:
        given = given_length(_plan(data, run, execution).resolved)
        if given is not None:
            raise UserError(f"--time and {given} of {run.title} contradict each other: give one.")


def share_of_time(
    seconds: float, used: float, times: Sequence[RunTime], jobs: int
) -> float:  # fmt: skip
    """The seconds of each training, so that all runs end after ``seconds``.

    Args:
        seconds: ``--time``.
        used: seconds used so far.
        times: measured times of the runs.
        jobs: number of runs at the same time.
    """
    each = (seconds - used) / math.ceil(len(times) / jobs)
    return max(each - max(time.scoring for time in times), LEAST * seconds / len(times))


def total_words(
    times: Sequence[RunTime], each: float | None, jobs: int
) -> str:  # fmt: skip
    """How long all runs take, as a sentence."""
    if not times:
        return "dry run: nothing is left to do"
    trainings = sum(each or time.training for time in times)
    scoring = sum(time.scoring for time in times)
    one = f" {duration(each)} each," if each is not None else ""
    return (
        f"dry run: trainings{one} {duration(trainings)} together, scoring {duration(scoring)}; about "
        f"{duration((trainings + scoring) / min(jobs, len(times)))} with --jobs {jobs}, without validation"
    )


def _plan(data: PreparedData, run: PlannedRun, execution: Execution) -> Plan:
    common = execution.common
    return plan_training(
        data, run.variant.method, run.labelled, execution.labelled_seed(run), common.preset,
        run.settings(common), torch_device(execution.device), run.variant.sections,
    )  # fmt: skip


def _measure(plan: Plan, execution: Execution) -> tuple[float, float]:
    """Seconds of a step, and of a prediction by every network of the method."""
    session = Session(
        plan.data, plan.config, plan.cases, execution.device, execution.threads, Quiet(),
        download=False,
    )  # fmt: skip
    step, prediction = session.time_step(), session.time_prediction(plan.data.manifest.cases[0])
    return step, prediction * len(session.method.network_names)
