"""``semiseg benchmark``: many runs with the same split, budgets and evaluation, and one table.

It can be interrupted, resumed and extended; a finished run is not repeated.

::

    BENCH/benchmark.json       the plan
    BENCH/runs/NAME/           one run folder each, with its evaluation
    BENCH/runs.csv             one line per run, network and class
    BENCH/table.csv, table.md  means over seeds
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.config import as_assignments
from semiseg.console import Console
from semiseg.data.manifest import PreparedData
from semiseg.training.device import torch_device
from semiseg.workflows.benchmark.checks import check_runs, overruled
from semiseg.workflows.benchmark.processes import execute_runs
from semiseg.workflows.benchmark.request import Request, make_plan
from semiseg.workflows.benchmark.run import Execution, evaluation_name, is_done
from semiseg.workflows.benchmark.tables import make_tables

__all__ = ["BenchmarkResult", "benchmark", "evaluation_name"]


@dataclasses.dataclass(frozen=True)
class BenchmarkResult:
    """Where the tables are, how many runs they hold, and the titles of the runs that failed."""

    folder: Path
    finished: int
    failed: tuple[str, ...]


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
    jobs: int = 1,
    threads: int | None = 1,
    device: str = "auto",
    dry_run: bool = False,
    console: Console = Console(),  # noqa: B008 - holds nothing
) -> BenchmarkResult:
    """Run every combination of methods (or a study's variants), budgets and seeds; make the table.

    A seed is the training's; it also draws the labelled patients where the data have no order of
    their own, so that budgets of one seed are nested. With neither methods nor a study, the runs that
    ``out`` already plans are resumed.

    Args:
        data: a prepared data set; None: that of the benchmark in ``out``.
        out: the benchmark's folder, new or begun.
        methods: names of methods, each a row of the table.
        study: name or file; its variants are rows too, and their values win over ``settings``.
        labelled: budgets: '7', '10%', 'all' or a text file of patients.
        seeds: of the trainings.
        preset: name or file; default: without a GPU that of the first method beside the baseline,
            for all runs.
        settings: ``section.key=value`` each, for all runs.
        config: the same as nested values; they win over ``settings``.
        on: the part that is scored, validation or test.
        protocol: of the evaluation; default: the preset's.
        jobs: runs at a time.
        threads: CPU threads of each run; None: torch's own number.
        device: auto, cpu or cuda.
        dry_run: check everything and list the runs that are left; write nothing.

    Raises:
        UserError: for unknown names, or where ``out`` holds a benchmark of other data or settings.
    """
    folder = Path(out)
    request = Request(
        data, tuple(methods), study, labelled, seeds, preset,
        [*settings, *as_assignments(config)], on, protocol,
    )  # fmt: skip
    plan = make_plan(folder, request, torch_device(device).type == "cpu", console)
    prepared, common = PreparedData(plan.common.data), plan.common
    todo = [run for run in plan.runs if not is_done(run, common.on)]
    ordered = prepared.manifest.split.labelled_order is not None
    execution = Execution(common, ordered, threads, device)
    check_runs(prepared, todo, execution)
    count = "1 run" if len(plan.runs) == 1 else f"{len(plan.runs)} runs"
    console.say(f"{count}, {len(plan.runs) - len(todo)} of them finished: {folder}")
    for line in overruled(plan):
        console.say(line)
    if dry_run:
        for run in todo:
            console.say(f"  would run: {run.title}")
        return BenchmarkResult(folder, len(plan.runs) - len(todo), ())
    plan.save()
    failed = execute_runs(todo, execution, jobs, console)
    finished = [run for run in plan.runs if is_done(run, common.on)]
    if finished:
        console.say(make_tables(folder, finished, prepared, common.on))
        console.say(f"table: {folder / 'table.md'}")
    return BenchmarkResult(folder, len(finished), tuple(failed))
