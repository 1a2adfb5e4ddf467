"""``semiseg train``: one run, from a prepared data set to weights and curves."""

import contextlib
import dataclasses
import logging
import os
import shlex
import shutil
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from semiseg import methods
from semiseg.config import Resolved, RunConfig, as_assignments
from semiseg.console import Console, Quiet
from semiseg.data.loader import build_loader
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.methods.base import Method, Step
from semiseg.stopping import Stop, listening
from semiseg.text import duration, plural
from semiseg.training.allocator import keep_freed_memory
from semiseg.training.checkpoints import newest_step
from semiseg.training.loop import Hooks, batch_counts, fit, train_step
from semiseg.training.optimiser import build_optimisers
from semiseg.training.patients import Cases, cases_of
from semiseg.training.plan import check_classes, check_terms, check_volumes, describe, plan_training
from semiseg.training.run_folder import RunFolder, RunSplit
from semiseg.workflows.loading import is_same, open_data, torch_device
from semiseg.workflows.new_folder import check_new_folder


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training came to. ``finished`` is False where --time ended it."""

    folder: Path
    iterations: int
    best_step: int
    best_dice: float | None
    seconds: float
    finished: bool


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
    if _rank() == 0:
        check_new_folder(run.folder, overwrite, "-o")
    session = _Session(prepared, plan.config, plan.split, device, threads, console)
    for line in describe(prepared, plan):
        session.console.say(line)
    for note in session.method.notes:
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
            _clear(run.folder)
        run.create(plan.config, prepared.task, plan.split, _facts(prepared, plan.resolved, session))
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
    return _Session(data, plan.config, plan.split, device, None, Quiet()).time_step()


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
    session = _Session(prepared, config, run.split(), device, threads, console)
    done = plural(newest_step(run.checkpoints), "iteration")
    session.console.say(f"resuming {run.folder} ({config.method}) after {done}")
    return session.fit(run, seconds)


class _Session:
    """What a new and a resumed training have in common."""

    def __init__(
        self,
        data: PreparedData,
        config: RunConfig,
        split: RunSplit,
        device: str,
        threads: int | None,
        console: Console,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        keep_freed_memory()
        self.data, self.config = data, config
        self.cases: Cases = cases_of(data, split)
        check_volumes(data, self.cases, config)
        self.warnings = check_classes(data, self.cases)
        torch.manual_seed(config.training.seed)
        self.method: Method = methods.entry(config.method).load()(data.task, config)
        check_terms(self.method, config, self.cases)
        counts = batch_counts(self.method, config)
        if self.method.uses_unlabelled and counts[1] == 0:
            raise UserError(
                f"A batch of {counts[0]} images has no unlabelled one for {config.method}: make "
                "training.batch_size larger than training.labelled_batch_size."
            )
        self.fabric = make_fabric(device, config.training.precision)
        for name, count in zip(("labelled", "unlabelled"), counts, strict=True):
            if count % self.fabric.world_size:
                raise UserError(
                    f"A batch of {count} {name} images cannot be divided among "
                    f"{self.fabric.world_size} processes: change training.batch_size or "
                    "training.labelled_batch_size."
                )
        self.console = console if self.fabric.is_global_zero else Quiet()

    def fit(self, run: RunFolder, seconds: float | None) -> TrainResult:
        total = self.config.training.iterations
        done = newest_step(run.checkpoints)
        first = self.fabric.is_global_zero
        alone = self.fabric.world_size == 1  # of several processes the launcher hears signals
        with (
            run.held() if first else contextlib.nullcontext(),
            listening() if alone else contextlib.nullcontext(Stop()) as stop,
            self.console.bar(f"training {self.config.method}", total, done) as bar,
        ):
            self.fabric.launch()
            progress = fit(
                self.fabric, self.method, self.data, self.cases, self.config, run,
                Hooks(lambda steps, note: bar.advance(steps, note), self.console.warn, stop),
                seconds,
            )  # fmt: skip
        best = progress.best_dice if self.cases.validation else None
        result = TrainResult(
            run.folder, progress.done, progress.best_step, best, progress.seconds,
            progress.done >= total,
        )  # fmt: skip
        if self.fabric.is_global_zero:
            self._close(run, result)
        self.fabric.barrier()
        if not result.finished:
            stop.pass_on()
        return result

    def _close(self, run: RunFolder, result: TrainResult) -> None:
        took = duration(result.seconds)
        if not result.finished:
            self.console.say(
                f"stopped after {plural(result.iterations, 'iteration')} ({took}); go on with: "
                f"semiseg train --resume -o {shlex.quote(str(run.folder))}"
            )
            return
        content = dataclasses.asdict(result)
        del content["folder"]  # a run may be moved
        run.write_json("finished.json", content)
        shutil.rmtree(run.checkpoints, ignore_errors=True)  # the weights stay
        scored = "" if result.best_dice is None else (
            f", best validation Dice {result.best_dice:.3f} at {result.best_step:,}"
        )  # fmt: skip
        count = plural(result.iterations, "iteration")
        self.console.say(f"trained {count} in {took}{scored}: {run.folder}")

    def time_step(self, steps: int = 3) -> float:
        """Seconds of the fastest of a few steps."""
        training = self.config.training
        built = build_optimisers(self.method.parameter_groups(), training)
        model, *optimisers = self.fabric.setup(self.method, *built)
        loader = build_loader(
            self.data, self.cases.labelled, self.cases.unlabelled,
            batch_counts(self.method, self.config), self.config.data, training.seed,
            distance_maps=self.method.needs_distance_maps,
        )  # fmt: skip
        model.train()
        times = []
        for index in range(steps):
            start = time.monotonic()
            # late in the run every term is at work
            step = Step(training.iterations - steps + index, training.iterations + steps)
            batch = loader(index).to(self.fabric.device)
            train_step(self.fabric, model, self.method, optimisers, batch, step, training)
            times.append(time.monotonic() - start)
        return min(times)


def _clear(folder: Path) -> None:
    """Remove what ``folder`` holds; the folder stays, which may be a link."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def make_fabric(device: str, precision: str) -> Fabric:
    """One device, or one process of several where torchrun has started them.

    Raises:
        UserError: for an unknown device or one that is not there.
    """
    on_gpu = torch_device(device).type == "cuda"
    if not on_gpu and precision == "16-mixed":
        raise UserError("training.precision 16-mixed needs a GPU; take 32-true or bf16-mixed.")
    warnings.filterwarnings("ignore", module="lightning_fabric")
    # it announces the precision
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        return Fabric(accelerator="cuda" if on_gpu else "cpu", devices=1, precision=precision)  # type: ignore[arg-type]
    here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    fabric = Fabric(
        accelerator="cuda" if on_gpu else "cpu", devices=here, num_nodes=processes // here,
        # a term that is not at work yet, or no more, leaves its projector without a gradient
        strategy=DDPStrategy(find_unused_parameters=True), precision=precision,  # type: ignore[arg-type]
    )  # fmt: skip
    fabric.launch()
    return fabric


def _facts(data: PreparedData, resolved: Resolved, session: _Session) -> dict[str, Any]:
    return {
        "data": str(data.folder.resolve()),
        "command": shlex.join(sys.argv),
        "origins": resolved.origins,
        "notes": session.method.notes,
        "device": str(session.fabric.device),
        "threads": torch.get_num_threads(),
        "world_size": int(os.environ.get("WORLD_SIZE", "1")),
    }
