"""A training with everything that it needs built: to be fitted, or timed."""

import contextlib
import dataclasses
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.console import Console, Quiet
from semiseg.data.loader import build_loader
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.methods.base import Method, Step
from semiseg.stopping import Stop, listening
from semiseg.text import duration, plural
from semiseg.training.allocator import keep_freed_memory
from semiseg.training.checkpoints import newest_step
from semiseg.training.fabric import make_fabric, world_size
from semiseg.training.initial_weights import load_initial_weights
from semiseg.training.loop import Hooks, batch_counts, fit, train_step
from semiseg.training.optimiser import build_optimisers
from semiseg.training.patients import Cases
from semiseg.training.plan import check_classes, check_terms, check_volumes
from semiseg.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training came to.

    Attributes:
        folder: the run's.
        iterations: how many are done, those before a resumption included.
        best_step: the iteration of the best weights.
        best_dice: the mean Dice of the validation cases there; None without validation cases.
        seconds: spent in the training loop, in all sessions.
        finished: False where the training was stopped, by its time or by a signal.
    """

    folder: Path
    iterations: int
    best_step: int
    best_dice: float | None
    seconds: float
    finished: bool


class Session:
    """The method, the cases and Fabric of a training, be it new or resumed.

    Attributes:
        method: built for the data's task, with its weights drawn from ``training.seed``.
        fabric: where the training runs.
        console: that of the caller in the first process; silent in all others.
        warnings: sentences for the person, on classes that cannot be learned.
    """

    def __init__(
        self,
        data: PreparedData,
        config: RunConfig,
        cases: Cases,
        device: str,
        threads: int | None,
        console: Console,
    ) -> None:
        """Build what the training needs; nothing is written.

        Args:
            data: the prepared data.
            config: the resolved configuration.
            cases: of the run's split.
            device: auto, cpu or cuda.
            threads: of torch on the CPU; None: as they are.
            console: takes the sentences for the person.

        Raises:
            UserError: where volumes, labels, the method and the batch do not fit each other.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        keep_freed_memory()
        self.data, self.config, self.cases = data, config, cases
        check_volumes(data, cases, config)
        self.warnings = check_classes(data, cases)
        torch.manual_seed(config.training.seed)
        self.method: Method = methods.entry(config.method).load()(data.task, config)
        self.notes = list(self.method.notes)
        check_terms(self.method, config, cases)
        self.counts = batch_counts(self.method, config)
        if self.method.uses_unlabelled and self.counts[1] == 0:
            raise UserError(
                f"A batch of {self.counts[0]} images has no unlabelled one for {config.method}: make "
                "training.batch_size larger than training.labelled_batch_size."
            )
        self.fabric = make_fabric(device, config.training.precision)
        self._check_division()
        self.console = console if self.fabric.is_global_zero else Quiet()

    def load_initial_weights(self) -> None:
        """Start from the run that ``training.weights_from`` names; a resumed training does not."""
        source = self.config.training.weights_from
        if source is not None:
            self.notes.append(load_initial_weights(self.method, source))

    def _check_division(self) -> None:
        """Refuse a batch that the processes cannot share evenly."""
        for name, count in zip(("labelled", "unlabelled"), self.counts, strict=True):
            if count % self.fabric.world_size:
                raise UserError(
                    f"A batch of {count} {name} images cannot be divided among "
                    f"{self.fabric.world_size} processes: change training.batch_size or "
                    "training.labelled_batch_size."
                )

    def facts(self, origins: Mapping[str, str]) -> dict[str, Any]:
        """What ``run.json`` says of the training; ``origins``: of the configuration's values."""
        return {
            "data": str(self.data.folder.resolve()),
            "command": shlex.join(sys.argv),
            "origins": dict(origins),
            "notes": self.notes,
            "device": str(self.fabric.device),
            "threads": torch.get_num_threads(),
            "world_size": world_size(),
        }

    def fit(self, run: RunFolder, seconds: float | None) -> TrainResult:
        """Train into ``run``, from its newest checkpoint where there is one.

        Args:
            run: a run's folder that was created.
            seconds: end cleanly after this time.

        Raises:
            UserError: where another process trains into the folder.
            RunFailure: where a loss term is no longer finite.
            KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM, once a checkpoint is written.
        """
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
        if first:
            self._close(run, result)
        self.fabric.barrier()
        if not result.finished:
            stop.pass_on()
        return result

    def _close(self, run: RunFolder, result: TrainResult) -> None:
        """Say how the training ended; of a finished one remove the checkpoints."""
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
        """Seconds of the fastest of a few steps; the session's weights change."""
        training = self.config.training
        built = build_optimisers(self.method.parameter_groups(), training)
        model, *optimisers = self.fabric.setup(self.method, *built)
        loader = build_loader(
            self.data, self.cases.labelled, self.cases.unlabelled, self.counts, self.config.data,
            training.seed, distance_maps=self.method.needs_distance_maps,
        )  # fmt: skip
        model.train()
        times = []
        for index in range(steps):
            start = time.monotonic()
            # late in the run every term is at work
            late = max(training.iterations - steps, 0) + index
            step = Step(late, training.iterations + steps)
            batch = loader(index).to(self.fabric.device)
            train_step(self.fabric, model, self.method, optimisers, batch, step, training)
            times.append(time.monotonic() - start)
        return min(times)
