"""The training loop."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from semiseg.config import RunConfig, TrainingConfig
from semiseg.data.batch import Batch
from semiseg.data.evenly_spaced import evenly_spaced
from semiseg.data.loaders import loader_of
from semiseg.data.manifest import PreparedData
from semiseg.errors import RunFailure
from semiseg.inference.predictors import build_predictor
from semiseg.methods.base import Method, Step, optimised_groups
from semiseg.torch_files import DamagedError
from semiseg.training.checkpoints import load_checkpoint, save_checkpoint, save_weights
from semiseg.training.logs import Logs
from semiseg.training.optimiser import build_optimisers, set_rates
from semiseg.training.pacing import Pace, Progress
from semiseg.training.patients import Cases
from semiseg.training.run_folder import RunFolder
from semiseg.training.validation import validation_dice

if TYPE_CHECKING:  # importing it reads the launcher's variables, which `make_fabric` checks first
    from lightning_fabric import Fabric

STATE = {"method", "optimisers", "precision", "progress", "meter"}  # of a checkpoint


@dataclasses.dataclass(frozen=True)
class Hooks:
    """Callbacks of the training loop.

    ``advance(steps, note)`` moves a progress bar, ``say`` prints a sentence, and ``stop()`` returns True
    to end the training after the current step (with a single process). ``clock()`` returns seconds.
    ``begin(done)`` is called once, after a checkpoint of ``done`` steps was loaded (0: none) and before
    the first step.
    """

    advance: Callable[[int, str], None] = lambda steps, note: None
    say: Callable[[str], None] = lambda text: None
    stop: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    begin: Callable[[int], None] = lambda done: None


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed torch for a step, so its random numbers depend only on (seed, step, rank)."""
    state = np.random.SeedSequence((seed, 4, step, rank)).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(state >> 1))


def batch_counts(method: Method, config: RunConfig, unlabelled: bool = True) -> tuple[int, int]:
    """Return the numbers of labelled and unlabelled images in a batch.

    ``unlabelled``: whether the data have unlabelled images.
    """
    training = config.training
    if unlabelled and method.reads_unlabelled(config):
        return training.labelled_batch_size, training.batch_size - training.labelled_batch_size
    fills = not unlabelled if method.fills_batch is None else method.fills_batch
    return training.batch_size if fills else training.labelled_batch_size, 0


def train_step(
    fabric: "Fabric",
    model: Any,
    method: Method,
    optimisers: Sequence[Any],
    batch: Batch,
    step: Step,
    training: TrainingConfig,
    done: int | None = None,
) -> dict[str, Tensor]:
    """Run one training step and return the weighted loss terms.

    Args:
        fabric: the Fabric of ``model`` and ``optimisers``.
        model: ``method``, wrapped by ``fabric``.
        batch: on the device.
        step: its index determines the learning rates.
        done: number of earlier steps, which determines the random numbers; default: the step's index.
    """
    seed_step(training.seed, step.index if done is None else done, fabric.global_rank)
    set_rates(optimisers, step.index, training)
    terms: dict[str, Tensor] = model(batch, step)
    fabric.backward(torch.stack(list(terms.values())).sum())
    if training.clip_gradients is not None:
        fabric.clip_gradients(model, optimisers[0], max_norm=training.clip_gradients)
    for optimiser in optimisers:
        optimiser.step()
        optimiser.zero_grad()
    method.after_step(step)
    return terms


def fit(
    fabric: "Fabric",
    method: Method,
    data: PreparedData,
    cases: Cases,
    config: RunConfig,
    run: RunFolder,
    hooks: Hooks = Hooks(),
    seconds: float | None = None,
) -> Progress:
    """Train ``method`` for ``training.iterations`` or ``training.seconds``; stop after ``seconds``.

    Resumes from the run's newest checkpoint if there is one. On a CPU the weights then equal those of
    an uninterrupted run bit for bit (unless ``training.seconds`` is set), and so do the logs except for
    times.

    Args:
        seconds: pause after this time with a checkpoint, from which the training is resumed.

    Raises:
        RunFailure: if a loss term is not finite.
        UserError: if the checkpoint does not fit the configuration.
    """
    training = config.training
    pace = Pace(training.iterations, training.seconds)
    built = build_optimisers(optimised_groups(method), training)
    progress, meter = _restore(fabric, run, method, built, hooks)
    hooks.begin(progress.done)
    model, *optimisers = fabric.setup(method, *built)
    counts = batch_counts(method, config, cases.has_unlabelled(config.data.dimensions))
    loader = loader_of(config.data)(
        data, cases.labelled, cases.unlabelled, counts, config.data, training.seed,
        fabric.global_rank, fabric.world_size,
        distance_maps=method.needs_distance_maps,
    )  # fmt: skip
    logs = Logs(run.folder, progress.done, training.tensorboard) if fabric.is_global_zero else None
    loss = ""
    started, before = hooks.clock(), progress.seconds
    pace.begin(progress)
    if training.seconds is not None and progress.done:
        hooks.advance(progress.previous + 1, "")
    model.train()
    while not progress.ended:
        done, step = progress.done, pace.step(progress)
        batch = loader(done).to(fabric.device)
        if training.gradient_sizes_every and done % training.gradient_sizes_every == 0 and logs:
            seed_step(training.seed, done, fabric.global_rank)
            for row in measured_gradients(fabric, method, batch, step):
                logs.write("gradients", {"step": done + 1, **row})
        meter.add(train_step(fabric, model, method, optimisers, batch, step, training, done))

        used = before + hooks.clock() - started
        if fabric.world_size > 1 and training.seconds is not None:
            used = fabric.broadcast(used)  # all processes are at the same position
        pace.advance(progress, used)
        stopped = hooks.stop() or _timed_out(fabric, seconds, used - before)
        last = progress.ended or stopped
        # a stop does not divide the window of a mean: the checkpoint holds its beginning
        if progress.ended or progress.done % training.log_every == 0:
            means = meter.read(progress.done)
            loss = f"loss {means['loss']:.3f}"
            if logs:
                row = {"step": progress.done, **means, "lr": optimisers[0].param_groups[0]["lr"]}
                logs.write("metrics", row | {"seconds": round(progress.seconds, 3)})
        if pace.validates(progress, training.validate_every):
            # a checkpoint must not contain weights after a non-finite loss
            meter.check(progress.done)
            _validate(fabric, method, data, cases, config, run, progress, logs)
            model.train()
            progress.validated = before + hooks.clock() - started
            progress.closing = progress.validated - used
        elif stopped and fabric.is_global_zero:
            # not scored, so a resumed run selects among the same steps as an uninterrupted one
            meter.check(progress.done)
            _save_unscored(method, run, progress)
        if progress.done in training.keep_weights_at and fabric.is_global_zero:
            name = f"step-{progress.done}.safetensors"
            save_weights(run.weights / name, method, {"step": progress.done})
        if last or pace.crossed(progress, training.checkpoint_every):
            meter.check(progress.done)
            _checkpoint(fabric, run, method, optimisers, progress, meter)
        progress.seconds = before + hooks.clock() - started
        dice = f"best Dice {progress.best_dice:.3f}" if progress.best_dice >= 0 else ""
        hooks.advance(pace.moved(progress), ", ".join(filter(None, (loss, dice))))
        if stopped:
            break
    if logs:
        logs.close()
    return progress


def _save_unscored(method: Method, run: RunFolder, progress: Progress) -> None:
    """Save the weights as last, and also as best if none have been scored yet."""
    names = ["last"] if progress.best_step else ["last", "best"]
    for name in names:
        save_weights(run.weights / f"{name}.safetensors", method, {"step": progress.done})


def _timed_out(fabric: "Fabric", seconds: float | None, used: float) -> bool:
    if seconds is None:
        return False
    late = used >= seconds
    return bool(fabric.broadcast(late)) if fabric.world_size > 1 else late


def _restore(
    fabric: "Fabric", run: RunFolder, method: nn.Module, optimisers: Sequence[Any], hooks: Hooks
) -> tuple[Progress, "_Meter"]:
    def restore(state: dict[str, Any], step: int) -> tuple[Progress, _Meter]:
        if state.keys() != STATE:
            raise DamagedError
        progress, meter = Progress.of(state["progress"]), _Meter()
        if progress is None or progress.done != step:
            raise DamagedError
        method.load_state_dict(state["method"])
        for optimiser, held in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(held)
        if state["precision"]:
            fabric.strategy.precision.load_state_dict(state["precision"])
        meter.load(state["meter"], fabric.device)
        return progress, meter

    say = hooks.say if fabric.is_global_zero else lambda text: None
    return load_checkpoint(run.checkpoints, say, restore) or (Progress(), _Meter())


def _checkpoint(
    fabric: "Fabric",
    run: RunFolder,
    method: nn.Module,
    optimisers: Sequence[Any],
    progress: Progress,
    meter: "_Meter",
) -> None:
    if fabric.is_global_zero:
        state = {
            "method": method.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
            "precision": fabric.strategy.precision.state_dict(),
            "progress": dataclasses.asdict(progress),
            "meter": meter.state(),
        }
        save_checkpoint(run.checkpoints, progress.done, state)
    fabric.barrier()


def _validate(
    fabric: "Fabric",
    method: Method,
    data: PreparedData,
    cases: Cases,
    config: RunConfig,
    run: RunFolder,
    progress: Progress,
    logs: Logs | None,
) -> None:
    """Score the validation cases; save the last weights and, if they improve, the best."""
    if logs is not None:
        facts: dict[str, Any] = {"step": progress.done}
        if cases.validation:
            most = config.training.validation_cases or len(cases.validation)
            chosen = [cases.validation[i] for i in evenly_spaced(len(cases.validation), most)]
            method.eval()
            network = method.network_names[0]  # the one used for inference
            predictor = build_predictor(
                lambda x: method.logits(x, network), data.task, config.data, fabric.device
            )
            scores = validation_dice(predictor, data, chosen)
            logs.write("validation", {"step": progress.done, "network": network, **scores})
            if math.isfinite(scores["dice"]):  # NaN if no case has foreground
                facts["validation_dice"] = scores["dice"]
            method.train()
        save_weights(run.weights / "last.safetensors", method, facts)
        score = facts.get("validation_dice", -1.0)
        if score > progress.best_dice or progress.best_dice < 0:  # unscored: the last are the best
            progress.best_dice, progress.best_step = score, progress.done
            save_weights(run.weights / "best.safetensors", method, facts)
    best = fabric.broadcast((progress.best_dice, progress.best_step))
    progress.best_dice, progress.best_step = best


def measured_gradients(
    fabric: "Fabric", method: Method, batch: Batch, step: Step
) -> list[dict[str, Any]]:
    """Return `gradient_sizes` of a step from a separate forward pass; restore all buffers.

    In mixed precision, Fabric's wrapper does not allow other backward passes than its own.
    """
    before = {name: buffer.clone() for name, buffer in method.named_buffers()}
    with fabric.autocast():
        rows = gradient_sizes(method(batch, step), method)
    with torch.no_grad():
        for name, buffer in method.named_buffers():
            buffer.copy_(before[name])
    return rows


def gradient_sizes(terms: dict[str, Tensor], method: Method) -> list[dict[str, Any]]:
    """Return the gradient norm of each weighted term, per parameter group."""
    groups = optimised_groups(method)
    parameters = [p for group in groups for p in group.parameters]
    rows = []
    for name, term in terms.items():
        if not term.requires_grad:
            continue
        gradients = iter(
            torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        )
        row: dict[str, Any] = {"term": name}
        for group in groups:
            squares = [
                g.float().square().sum()
                for _, g in zip(group.parameters, gradients, strict=False)
                if g is not None
            ]
            row[group.name] = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
        rows.append(row)
    return rows


class _Meter:
    """Means of loss terms between two reads, without a host synchronisation per step."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.first_bad: dict[str, Tensor] = {}
        self.steps = 0

    def add(self, terms: dict[str, Tensor]) -> None:
        self.steps += 1
        for name, term in terms.items():
            value = term.detach()
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value
            self.counts[name] = self.counts.get(name, 0) + 1
            # 0 while finite, then the step of the first non-finite value
            bad = self.first_bad.get(name, torch.zeros_like(value))
            now = torch.where(torch.isfinite(value), 0.0, float(self.steps))
            self.first_bad[name] = torch.where(bad > 0, bad, now)

    def state(self) -> dict[str, Any]:
        """The sums of the current window, for a checkpoint."""
        return {"sums": dict(self.sums), "counts": dict(self.counts), "steps": self.steps}

    def load(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue the window of a checkpoint."""
        self.sums = {name: total.to(device) for name, total in state["sums"].items()}
        self.counts, self.steps = dict(state["counts"]), int(state["steps"])
        self.first_bad = {name: torch.zeros_like(total) for name, total in self.sums.items()}

    def check(self, done: int) -> None:
        """Raise `RunFailure` if a term was not finite; name the first one."""
        if not self.first_bad:
            return
        first = {name: float(value) for name, value in self.first_bad.items()}
        bad = {name: value for name, value in first.items() if value > 0}
        if bad:
            name = min(bad, key=lambda n: bad[n])
            at = done - self.steps + int(bad[name])
            raise RunFailure(
                f"The loss term '{name}' is not finite at iteration {at}, and the run stopped. Earlier "
                "checkpoints are kept. Start again (another -o, or --overwrite) with a lower "
                "training.learning_rate or training.clip_gradients=1, and on a GPU with "
                "training.precision=32-true."
            )

    def read(self, done: int) -> dict[str, float]:
        """Return the mean of each term and of their sum (``loss``) since the last read."""
        self.check(done)
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts, self.first_bad, self.steps = {}, {}, {}, 0
        return {"loss": math.fsum(means.values()), **means}
