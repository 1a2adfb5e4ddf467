"""``semiseg train``: one run, from a prepared data set to weights and curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.config import as_assignments
from semiseg.console import Console, Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.text import duration, plural
from semiseg.training.checkpoints import newest_step
from semiseg.training.device import torch_device
from semiseg.training.fabric import rank
from semiseg.training.patients import cases_of
from semiseg.training.plan import describe, plan_training
from semiseg.training.run_folder import RunFolder
from semiseg.training.session import Session, TrainResult
from semiseg.workflows.loading import is_same, open_data
from semiseg.workflows.new_folder import check_new_folder, clear_folder


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
    device: str = "auto",
    threads: int | None = None,
    seconds: float | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    console: Console = Console(),  # noqa: B008 - holds nothing
) -> TrainResult | None:
    """Train ``method`` on ``data`` into the run folder ``out``.

    Args:
        data: a prepared data set.
        out: the run's folder, new or empty.
        method: default: the preset's.
        labelled: '7', '10%', 'all' or a text file of patients.
        labelled_seed: seed of the labelled patients; default: the data's own order where it has one, else 0.
        preset: name or file; default: on a machine without a GPU the method's own for such, else none.
        settings: ``section.key=value`` each, as ``--set`` takes them.
        config: the same as nested values, such as ``{"training": {"iterations": 2000}}``; they win over
            ``settings``.
        sections: of a study's variant.
        seconds: end cleanly after this time; `resume` goes on.
        dry_run: say what would be done and how long it takes; write nothing.

    Raises:
        UserError: for anything in the input that does not fit, before anything is written.
        RunFailure: where a loss term is no longer finite.
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM, once a checkpoint is written.
    """
    prepared = PreparedData(data)
    plan = plan_training(
        prepared, method, labelled, labelled_seed, preset, [*settings, *as_assignments(config)],
        torch_device(device), sections,
    )  # fmt: skip
    run = RunFolder(out)
    # under torchrun every process comes here, and the first may already have begun the folder
    if rank() == 0:
        check_new_folder(run.folder, overwrite, "-o")
    session = Session(prepared, plan.config, plan.cases, device, threads, console)
    for line in describe(prepared, plan):
        session.console.say(line)
    session.load_initial_weights()
    for note in session.notes:
        session.console.say(note)
    for warning in session.warnings:
        session.console.warn(warning)
    if dry_run:
        count = plan.config.training.iterations
        each = session.time_step()
        session.console.say(
            f"dry run: {count:,} iterations of about {each:.2f} s, {duration(each * count)} without "
            "validation; nothing was written"
        )
        return None
    if session.fabric.is_global_zero:
        if overwrite and run.folder.exists():
            clear_folder(run.folder)
        run.create(plan.config, prepared.task, plan.split, session.facts(plan.resolved.origins))
    session.fabric.barrier()
    return session.fit(run, seconds)


def seconds_a_step(
    data: PreparedData,
    method: str | None,
    labelled: str,
    preset: str | None,
    settings: Sequence[str],
    device: str,
) -> float:
    """How long one iteration takes here; arguments as of `train`, which is given none of the result.

    Raises:
        UserError: as `train`.
    """
    plan = plan_training(data, method, labelled, None, preset, settings, torch_device(device))
    return Session(data, plan.config, plan.cases, device, None, Quiet()).time_step()


def resume(
    out: Path | str,
    *,
    data: Path | str | None = None,
    device: str = "auto",
    threads: int | None = None,
    seconds: float | None = None,
    console: Console = Console(),  # noqa: B008 - holds nothing
) -> TrainResult:
    """Go on with the run in ``out``; only its folder is needed (``data``: where the data moved to)."""
    run = RunFolder(out)
    config = run.config()
    ended = run.finished()
    if ended is not None:
        console.say(f"{run.folder} is finished: nothing to do.")
        return TrainResult(
            run.folder, ended["iterations"], ended["best_step"], ended["best_dice"],
            ended["seconds"], True,
        )  # fmt: skip
    prepared = open_data(
        run, data, f"say where they are now with semiseg train DATA --resume -o {run.folder}"
    )
    if not is_same(run, prepared) or prepared.task != run.task():
        raise UserError(
            f"{prepared.folder} are other data than those of {run.folder} (its patients or task "
            "differ): resume with the run's own, or begin another run."
        )
    session = Session(prepared, config, cases_of(prepared, run.split()), device, threads, console)
    if newest_step(run.checkpoints) == 0:
        session.load_initial_weights()
    done = plural(newest_step(run.checkpoints), "iteration")
    session.console.say(f"resuming {run.folder} ({config.method}) after {done}")
    return session.fit(run, seconds)
