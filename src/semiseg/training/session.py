"""A training session: the method, the cases and Fabric, ready to fit or to time."""

import contextlib
import dataclasses
import math
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.console import Bar, Console, Quiet
from semiseg.data.loaders import loader_of
from semiseg.data.manifest import Case, PreparedData
from semiseg.errors import UserError, memory_for
from semiseg.inference.predictors import AnyPredictor, build_predictor, predict_case
from semiseg.methods.base import Method, Step, optimised_groups
from semiseg.networks.build import downloads, without_pretrained
from semiseg.stopping import Stop, listening
from semiseg.text import duration, plural
from semiseg.training.allocator import keep_freed_memory
from semiseg.training.checkpoints import remove_checkpoints
from semiseg.training.configuration import check_precision
from semiseg.training.device import torch_device
from semiseg.training.fabric import make_fabric
from semiseg.training.initial_weights import load_initial_weights
from semiseg.training.loop import Hooks, batch_counts, fit, train_step
from semiseg.training.optimiser import build_optimisers
from semiseg.training.patients import Cases
from semiseg.training.plan import check_classes, check_terms, check_volumes
from semiseg.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The result of a training.

    Attributes:
        folder: folder of the run.
        iterations: completed iterations, including those before a resumption.
        best_step: iteration of the best weights.
        best_dice: mean Dice of the validation cases at ``best_step``; None without a structure to score.
        seconds: time spent in the training loop, including earlier sessions.
        finished: False if the training was stopped by its time limit or by a signal.
    """

    folder: Path
    iterations: int
    best_step: int
    best_dice: float | None
    seconds: float
    finished: bool


class Session:
    """The method, the cases and Fabric of a new or resumed training.

    Attributes:
        method: built for the data's task, with weights initialised from ``training.seed``.
        fabric: Fabric of the training.
        console: the caller's console in the first process, a silent one in the others.
        warnings: sentences for the user on classes that cannot be learned.
    """

    def __init__(
        self,
        data: PreparedData,
        config: RunConfig,
        cases: Cases,
        device: str,
        threads: int | None,
        console: Console,
        download: bool = True,
    ) -> None:
        """Build the session without writing files.

        Args:
            data: the prepared data.
            config: the resolved configuration.
            cases: cases of the run's split.
            device: auto, cpu or cuda.
            threads: torch's CPU threads; None: unchanged.
            console: output for the user.
            download: whether weights that ``swin.pretrained=hub`` asks for may be downloaded; otherwise
                they are random, which suffices to measure the time.

        Raises:
            UserError: if volumes, labels, method and batch do not fit together.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        check_precision(config, torch_device(device))
        keep_freed_memory()
        self.data, self.config, self.cases = data, config, cases
        check_volumes(data, cases, config)
        self.warnings = check_classes(data, cases)
        torch.manual_seed(config.training.seed)
        for address in downloads(config):
            console.info(f"{'downloading' if download else 'not downloaded here:'} {address}")
        with_weights = config if download else without_pretrained(config, "hub")
        self.method: Method = methods.entry(config.method).load()(data.task, with_weights)
        self.notes = list(self.method.notes)
        check_terms(self.method, config, cases)
        unlabelled = cases.has_unlabelled(config.data.dimensions)
        self.counts = batch_counts(self.method, config, unlabelled)
        self.fabric = make_fabric(device, config.training.precision)
        self._check_division()
        self.console = console if self.fabric.is_global_zero else Quiet()

    def load_initial_weights(self) -> None:
        """Load ``training.weights_from``, if it is set. Call this for new trainings only."""
        source = self.config.training.weights_from
        if source is not None:
            self.notes.append(load_initial_weights(self.method, source))

    def _check_division(self) -> None:
        """Check that the batch can be divided evenly among the processes."""
        for name, count in zip(("labelled", "unlabelled"), self.counts, strict=True):
            if count % self.fabric.world_size:
                raise UserError(
                    f"A batch of {count} {name} images cannot be divided among "
                    f"{self.fabric.world_size} processes: change training.batch_size or "
                    "training.labelled_batch_size."
                )

    def facts(self, origins: Mapping[str, str]) -> dict[str, Any]:
        """Return the content of ``run.json``; ``origins``: origins of the configuration's values."""
        ranges = self.data.manifest.training_images
        return {
            "data": str(self.data.folder.resolve()),
            "identity": self.data.identity,
            "command": shlex.join(sys.argv),
            "origins": dict(origins),
            "notes": self.notes,
            "device": str(self.fabric.device),
            "threads": torch.get_num_threads(),
            "world_size": self.fabric.world_size,
            "training_images": None if ranges is None else ranges.model_dump(mode="json"),
        }

    def fit(self, run: RunFolder, seconds: float | None, resumed: bool = False) -> TrainResult:
        """Train in the folder ``run``, from its newest readable checkpoint if there is one.

        Args:
            run: the folder, already created, and locked by the first process.
            seconds: pause after this time with a checkpoint.
            resumed: whether the run was started before. Without a readable checkpoint it begins anew.

        Raises:
            UserError: if the checkpoint does not fit the configuration.
            RunFailure: if a loss term is not finite.
            KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM, once a checkpoint is written.
        """
        training, name = self.config.training, self.config.method
        bars: list[Bar] = []
        first = self.fabric.is_global_zero
        alone = self.fabric.world_size == 1  # with several processes the launcher handles signals
        with (
            listening() if alone else contextlib.nullcontext(Stop()) as stop,
            contextlib.ExitStack() as stack,
        ):

            def begin(done: int) -> None:
                if resumed:
                    self._say_resumed(run, done)
                # with a time limit, the loop moves the bar to the position of a resumed training
                before = done if training.seconds is None else 0
                bar = self.console.bar(f"training {name}", training.iterations, before)
                bars.append(stack.enter_context(bar))

            self.fabric.launch()
            progress = fit(
                self.fabric, self.method, self.data, self.cases, self.config, run,
                Hooks(
                    lambda steps, note: bars[0].advance(steps, note), self.console.warn, stop,
                    begin=begin,
                ),
                seconds,
            )  # fmt: skip
        best = progress.best_dice if progress.best_dice >= 0 else None
        result = TrainResult(
            run.folder, progress.done, progress.best_step, best, progress.seconds, progress.ended
        )
        if first:
            self._close(run, result)
        self.fabric.barrier()
        if not result.finished:
            stop.pass_on()
        return result

    def _say_resumed(self, run: RunFolder, done: int) -> None:
        """Say where a resumed run begins. Without a checkpoint it begins with its initial weights."""
        if done:
            after = f"after {plural(done, 'iteration')}"
            self.console.info(f"resuming {run.folder} ({self.config.method}) {after}")
            return
        before = len(self.notes)
        self.load_initial_weights()
        self.console.info(
            f"{run.folder} ({self.config.method}) has no readable checkpoint: the training begins anew"
        )
        for note in self.notes[before:]:
            self.console.info(note)

    def _close(self, run: RunFolder, result: TrainResult) -> None:
        """Report the result. If the training is finished, write it and delete the checkpoints."""
        took = duration(result.seconds)
        if not result.finished:
            self.console.info(
                f"stopped after {plural(result.iterations, 'iteration')} ({took}); resume with: "
                f"semiseg train --resume -o {shlex.quote(str(run.folder))}"
            )
            return
        content = dataclasses.asdict(result)
        del content["folder"]  # a run may be moved
        remarks = self.method.remarks()
        run.write_json("finished.json", content | {"remarks": remarks})
        remove_checkpoints(run.checkpoints)  # the weights stay
        scored = "" if result.best_dice is None else (
            f", best validation Dice {result.best_dice:.3f} at {result.best_step:,}"
        )  # fmt: skip
        count = plural(result.iterations, "iteration")
        self.console.info(f"trained {count} in {took}{scored}: {run.folder}")
        for remark in remarks:
            self.console.warn(remark)

    def time_step(self, steps: int = 3) -> float:
        """Return the seconds of the fastest of ``steps`` steps. Changes the session's weights."""
        training = self.config.training
        built = build_optimisers(optimised_groups(self.method), training)
        model, *optimisers = self.fabric.setup(self.method, *built)
        loader = loader_of(self.config.data)(
            self.data, self.cases.labelled, self.cases.unlabelled, self.counts, self.config.data,
            training.seed, distance_maps=self.method.needs_distance_maps,
        )  # fmt: skip
        model.train()
        times = []
        for index in range(steps):
            start = time.monotonic()
            # late in the run every loss term is active
            late = min(max(training.iterations - steps, 0) + index, training.iterations - 1)
            step = Step(late, training.iterations + steps)
            batch = loader(index).to(self.fabric.device)
            train_step(self.fabric, model, self.method, optimisers, batch, step, training)
            times.append(time.monotonic() - start)
        return min(times)

    def time_validation(self) -> float:
        """Return the expected seconds of one validation, from one case of the median size."""
        cases = sorted(self.cases.validation, key=lambda case: math.prod(case.shape))
        if not cases:
            return 0.0
        return self.time_prediction(cases[len(cases) // 2]) * len(cases)

    def time_prediction(self, case: Case) -> float:
        """Return the seconds of the prediction of a prepared case by the first network.

        Raises:
            RunFailure: if the memory does not suffice for it.
        """
        predictor = self.untrained_predictor()
        start = time.monotonic()
        with memory_for(case.identifier, "predict it"):
            predict_case(predictor, self.data, case)
        return time.monotonic() - start

    def untrained_predictor(self) -> AnyPredictor:
        """Return a predictor with the present weights, to measure the time of predictions."""
        name = self.method.network_names[0]
        method = self.method.to(self.fabric.device).eval()
        return build_predictor(
            lambda images: method.logits(images, name), self.data.task, self.config.data,
            self.fabric.device,
        )  # fmt: skip
