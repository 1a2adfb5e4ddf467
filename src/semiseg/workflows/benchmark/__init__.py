"""``semiseg benchmark``: many runs with the same data, split and evaluation, and one table.

A benchmark can be interrupted, resumed and extended. Finished runs are not repeated.

::

    BENCH/benchmark.json       the plan, and digests of the files that it was given
    BENCH/runs/NAME/           one run folder each, with its evaluation
    BENCH/runs.csv             one line per run, network and class
    BENCH/table.csv, table.md  means over seeds
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.config import as_assignments
from semiseg.console import Console
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.locking import one_at_a_time, remove_partials_below
from semiseg.text import duration
from semiseg.training.device import torch_device
from semiseg.workflows.benchmark.checks import check_data, check_runs, overruled
from semiseg.workflows.benchmark.plan import BenchmarkPlan, PlannedRun
from semiseg.workflows.benchmark.processes import execute_runs
from semiseg.workflows.benchmark.request import Request, make_plan
from semiseg.workflows.benchmark.run import Execution, is_done
from semiseg.workflows.benchmark.tables import make_tables
from semiseg.workflows.benchmark.timing import (
    check_lengths,
    measure_runs,
    share_of_time,
    total_words,
)

__all__ = ["BenchmarkResult", "benchmark"]


@dataclasses.dataclass(frozen=True)
class BenchmarkResult:
    """The folder of the tables, the number of finished runs, and the titles of the failed runs."""

    folder: Path
    finished: int
    failed: tuple[str, ...]


@one_at_a_time("running a benchmark")
def benchmark(
    data: Path | str | None,
    out: Path | str,
    *,
    methods: Sequence[str] = (),
    study: str | None = None,
    labelled: Sequence[str] = ("all",),
    seeds: Sequence[int] = (0,),
    preset: str | None = None,
    settings: Sequence[str] = (),
    config: Mapping[str, Mapping[str, Any]] | None = None,
    on: str = "validation",
    protocol: str | None = None,
    weights: str | None = None,
    jobs: int = 1,
    threads: int | None = 1,
    seconds: float | None = None,
    device: str = "auto",
    dry_run: bool = False,
    console: Console = Console(),  # noqa: B008 - it has no state
) -> BenchmarkResult:
    """Train and score every combination of methods (or a study's variants), budgets and seeds.

    A budget is the number of labelled patients. A seed is the seed of the training. If the data have no
    order of labelled patients, it also determines their choice, so that the budgets of one seed are
    nested. Without methods and study, the benchmark in ``out`` is resumed.

    Args:
        data: a prepared data set; None: that of the benchmark in ``out``.
        out: the benchmark's folder.
        methods: names of methods, one row of the table each.
        study: name or file. Its variants are rows too, and their settings override ``settings``.
        labelled: budgets: '7', '10%', 'all' or a text file of patients.
        seeds: seeds of the trainings.
        preset: name or file, for all runs; default: on a machine without a GPU, the preset of the first
            method other than the baseline.
        settings: ``section.key=value`` each, for all runs.
        config: settings as nested values; they override ``settings``.
        on: the part that is scored, validation or test.
        protocol: evaluation protocol; default: the preset's.
        weights: the scored weights, best or last. The best ones are chosen by the validation cases.
            Default: last on the validation part, best on the test part.
        jobs: number of runs at the same time.
        threads: CPU threads of each run; None: torch's default.
        seconds: duration of all runs together. Every training takes the same share of it, and runs that
            are added later take as long as the first ones.
        device: auto, cpu or cuda.
        dry_run: check everything, list the unfinished runs and say how long they take; write nothing.
        console: prints messages and progress.

    Raises:
        UserError: if a name is unknown, ``out`` contains a benchmark of other data or settings, or the data
            were prepared again since.
    """
    folder = Path(out)
    request = Request(
        data, tuple(methods), study, labelled, seeds, preset,
        [*settings, *as_assignments(config)], on, protocol, weights, seconds,
    )  # fmt: skip
    begun = time.monotonic()
    plan = make_plan(folder, request, torch_device(device).type == "cpu", console)
    prepared, common = PreparedData(plan.common.data), plan.common
    check_data(plan, prepared)
    todo = [run for run in plan.runs if not is_done(run, common)]
    ordered = prepared.manifest.split.labelled_order is not None
    execution = Execution(common, ordered, threads, device, plan.files, prepared.identity)
    checked = check_runs(prepared, todo, execution)
    count = "1 run" if len(plan.runs) == 1 else f"{len(plan.runs)} runs"
    console.info(f"{count}, {len(plan.runs) - len(todo)} of them finished: {folder}")
    all_new = len(todo) == len(plan.runs)  # else a setting may have an effect in a finished run
    for line in (*overruled(plan), *(checked.ineffective if all_new else ())):
        console.info(line)
    for address in checked.fetched:
        console.info(f"{'not downloaded here' if dry_run else 'to be downloaded'}: {address}")
    plan = _limited(plan, todo, execution, seconds, jobs, begun)
    execution = dataclasses.replace(execution, common=plan.common)
    each = plan.common.seconds
    if dry_run:
        for run in todo:
            console.info(f"  would run: {run.title}")
        console.info(total_words(measure_runs(prepared, todo, execution), each, jobs))
        return BenchmarkResult(folder, len(plan.runs) - len(todo), ())
    if each is not None and todo:
        console.info(
            f"every training takes {duration(each)}, whatever its number of iterations (--time)"
        )
    remove_partials_below(folder)
    plan.save()
    failed = execute_runs(todo, execution, jobs, console)
    finished = [run for run in plan.runs if is_done(run, common)]
    if finished:
        console.info(make_tables(folder, finished, prepared, common))
        console.info(f"table: {folder / 'table.md'}")
    return BenchmarkResult(folder, len(finished), tuple(failed))


def _limited(
    plan: BenchmarkPlan,
    todo: Sequence[PlannedRun],
    execution: Execution,
    seconds: float | None,
    jobs: int,
    begun: float,
) -> BenchmarkPlan:
    """Divide the time of a new benchmark among its trainings.

    Raises:
        UserError: if the time is not above 0, or a run has a number of iterations.
    """
    if seconds is None or plan.common.seconds is not None or not todo:
        return plan
    if not seconds > 0:
        raise UserError("--time must be above 0: write 2h, 30m, 90s or 1h30m.")
    data = PreparedData(plan.common.data)
    check_lengths(data, todo, execution)
    times = measure_runs(data, todo, execution)
    each = share_of_time(seconds, time.monotonic() - begun, times, jobs)
    common = dataclasses.replace(plan.common, time=seconds, seconds=each)
    return dataclasses.replace(plan, common=common)
