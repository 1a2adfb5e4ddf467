"""``semiseg train``: train a network on a prepared data set."""

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.config import as_assignments
from semiseg.console import Console, Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.locking import tidy
from semiseg.text import duration, joined, listed
from semiseg.training.device import torch_device
from semiseg.training.launcher import launched
from semiseg.training.patients import cases_of
from semiseg.training.plan import Plan, describe, plan_training
from semiseg.training.run_folder import RunFolder, RunSplit
from semiseg.training.run_output import find_run
from semiseg.training.session import Session, TrainResult
from semiseg.training.time_limit import TimeLimit, fit_to_time, given_length
from semiseg.workflows.loading import changes_since, open_data
from semiseg.workflows.new_folder import check_new_folder, clear_run

LEAST = 0.1  # of the time for the schedule, however long its preparations take


def train(
    data: Path | str,
    out: Path | str,
    *,
    method: str | None = None,
    labelled: str = "all",
    labelled_seed: int | None = None,
    preset: str | None = None,
    settings: Sequence[str] = (),
    config: Mapping[str, Mapping[str, Any]] | None = None,
    sections: Mapping[str, Any] | None = None,
    split: RunSplit | None = None,
    device: str = "auto",
    threads: int | None = None,
    seconds: float | TimeLimit | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    console: Console = Console(),  # noqa: B008 - it has no state
) -> TrainResult | None:
    """Train ``method`` on ``data`` into the run folder ``out``.

    Args:
        data: a prepared data set.
        out: the run's folder, new or empty.
        method: name of the method, or ``auto``, the recommended one; default: the preset's, else ``auto``.
        labelled: patients whose labels are used: '7', '10%', 'all' or a text file of patients.
        labelled_seed: seed of the choice of labelled patients; default: the order in the data if they
            have one, else 0.
        preset: name or file; default: on a machine without a GPU the method's preset for it, else none.
        settings: ``section.key=value`` each, as in ``--set``.
        config: settings as nested values, such as ``{"training": {"iterations": 2000}}``; they override
            ``settings``.
        sections: settings of a study's variant.
        split: the patients of each part, instead of those of the data and of ``labelled``.
        device: auto, cpu or cuda.
        threads: number of CPU threads; default: the number of cores.
        seconds: duration of the training. Its schedule follows the time used, so it ends in time. If
            ``settings`` give the iterations or epochs, the training stops after this time with a
            checkpoint, from which `resume` continues. With a `TimeLimit` no step is measured.
        overwrite: replace a run in ``out``.
        dry_run: print what would be done and how long it takes; write nothing.
        console: prints messages and progress.

    Returns:
        The result; None for a dry run.

    Raises:
        UserError: if an argument or the data are invalid; nothing is then written.
        RunFailure: if a loss term is not finite.
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM; a checkpoint is written first.
    """
    begun = time.monotonic()
    prepared = PreparedData(data)
    plan = plan_training(
        prepared, method, labelled, labelled_seed, preset, [*settings, *as_assignments(config)],
        torch_device(device), sections, split,
    )  # fmt: skip
    run = RunFolder(out)
    first = launched().rank == 0
    # under torchrun, the first process may already have created the folder
    if first:
        check_new_folder(run.folder, overwrite, "-o")
    if isinstance(seconds, TimeLimit):
        resolved = fit_to_time(
            plan.resolved, seconds.seconds, seconds.each, seconds.validation, seconds.cases
        )
        plan, seconds = dataclasses.replace(plan, resolved=resolved), None
    elif seconds is not None and given_length(plan.resolved) is None:
        plan = _fit_to_time(plan, seconds, device, threads, begun)
        seconds = None
    session = Session(
        plan.data, plan.config, plan.cases, device, threads, console, download=not dry_run
    )
    for line in describe(plan):
        session.console.info(line)
    session.load_initial_weights()
    for note in session.notes:
        session.console.info(note)
    for warning in session.warnings:
        session.console.warn(warning)
    if dry_run:
        count = plan.config.training.iterations
        limit, each = plan.config.training.seconds, session.time_step()
        takes = f"{duration(each * count)} without validation" if limit is None else duration(limit)
        session.console.info(
            f"dry run: {count:,} iterations of about {each:.2f} s, {takes}; nothing was written"
        )
        return None
    with run.held() if first else contextlib.nullcontext():
        if first:
            check_new_folder(run.folder, overwrite, "-o")  # another process may have used it since
            left = clear_run(run.folder) if overwrite else []
            if left:
                console.warn(f"left in {run.folder}, since it is not of the run: {listed(left)}")
            run.create(
                plan.config, plan.data.task, plan.split, session.facts(plan.resolved.origins)
            )
        session.fabric.barrier()
        return session.fit(run, seconds)


def _fit_to_time(
    plan: Plan,
    seconds: float,
    device: str,
    threads: int | None,
    begun: float,
) -> Plan:
    """Let the schedule of a plan end ``seconds`` after ``begun``."""
    if launched().processes > 1:  # all must have the same configuration, so nothing is measured
        return dataclasses.replace(plan, resolved=fit_to_time(plan.resolved, seconds, None))
    session = Session(plan.data, plan.config, plan.cases, device, threads, Quiet(), download=False)
    each, validation = session.time_step(), session.time_validation()
    left = max(seconds - (time.monotonic() - begun), LEAST * seconds)
    return dataclasses.replace(
        plan,
        resolved=fit_to_time(plan.resolved, left, each, validation, len(plan.cases.validation)),
    )


def resume(
    out: Path | str,
    *,
    data: Path | str | None = None,
    device: str = "auto",
    threads: int | None = None,
    seconds: float | None = None,
    console: Console = Console(),  # noqa: B008 - it has no state
) -> TrainResult:
    """Resume the run in ``out``.

    Args:
        out: the run's folder.
        data: the prepared data set; needed only if it was moved.
        device: auto, cpu or cuda.
        threads: number of CPU threads; default: the number of cores.
        seconds: stop after this time with a checkpoint. The schedule of the run does not change.
        console: prints messages and progress.

    Raises:
        UserError: if ``out`` is not a run, or if ``data`` are other data than the run's.
    """
    run, launch = RunFolder(find_run(out)), launched()
    run.config()  # raises if it is not a run
    ended = _ended(run, console)
    if ended is not None:
        if launch.rank == 0:
            tidy(run.folder)
        return ended
    with run.held() if launch.rank == 0 else contextlib.nullcontext():
        # another process may have finished it since
        return _ended(run, console) or _resume(
            run, data, device, threads, seconds, launch.processes, console
        )


def _ended(run: RunFolder, console: Console) -> TrainResult | None:
    """The result of a finished run; None if it is not finished."""
    ended = run.finished()
    if ended is None:
        return None
    console.info(f"{run.folder} is finished: nothing to do.")
    return TrainResult(
        run.folder, ended.iterations, ended.best_step, ended.best_dice, ended.seconds, True
    )


def _resume(
    run: RunFolder,
    data: Path | str | None,
    device: str,
    threads: int | None,
    seconds: float | None,
    processes: int,
    console: Console,
) -> TrainResult:
    """Resume a run whose lock is held."""
    prepared = open_data(
        run, data, f"give their new folder with semiseg train DATA --resume -o {run.folder}"
    )
    changes = changes_since(run, prepared)
    if changes:
        raise UserError(
            f"{prepared.folder} contains other data than {run.folder} was trained on (changed: "
            f"{joined(changes)}): resume with the run's own data, or start a new run."
        )
    cases = cases_of(prepared, run.split())
    session = Session(prepared, run.config(), cases, device, threads, console)
    facts = run.facts()
    if processes != facts.world_size:
        change = (
            f"the run was trained in {_processes(facts.world_size)} and is resumed in "
            f"{_processes(processes)}: its result is no longer equal bit for bit to that of a run without "
            "interruption."
        )
        session.console.warn(change)
        if launched().rank == 0:
            new = {"world_size": processes, "changes": (*facts.changes, change)}
            run.write_json("run.json", facts.model_copy(update=new).model_dump(mode="json"))
    return session.fit(run, seconds, resumed=True)


def _processes(count: int) -> str:
    return "one process" if count == 1 else f"{count:,} processes"
