"""The method of a round and the length of its trainings, from the images and the time."""

import dataclasses
import math
import time
from collections.abc import Sequence

import torch

from semiseg import methods
from semiseg.config import parse_assignments
from semiseg.console import Console, Quiet
from semiseg.data.manifest import PreparedData
from semiseg.datasets.base import SourceCase
from semiseg.errors import memory_for
from semiseg.networks.build import downloads
from semiseg.preparation.auto_config import SIZE, size_of
from semiseg.text import duration, plural
from semiseg.training.configuration import method_and_preset
from semiseg.training.device import torch_device
from semiseg.training.plan import Plan, plan_training
from semiseg.training.resolution import CROP_SIZE, lost_structures
from semiseg.training.run_folder import RunSplit
from semiseg.training.session import Session
from semiseg.workflows.run.budget import LEAST, Costs, Shares, Stopwatch, Work, divide
from semiseg.workflows.run.request import RunRequest

ENOUGH = (
    2000  # iterations of a batch; with fewer, a larger input gains nothing (docs/recommended.md)
)
EXCESS = 0.1  # of the time; a larger one is announced


@dataclasses.dataclass(frozen=True)
class Choice:
    """The method, the settings and, if the time is limited, the length of a round's trainings.

    ``iterations`` are those of each training, also without a time limit.
    """

    method: str
    settings: tuple[str, ...]
    iterations: int
    costs: Costs | None = None
    shares: Shares | None = None


def choose(
    data: PreparedData,
    request: RunRequest,
    split: RunSplit,
    work: Work,
    example: SourceCase,
    watch: Stopwatch,
    console: Console,
    measured: bool = False,
) -> Choice:
    """Choose the method, and measure what the time allows.

    Args:
        data: the prepared data.
        request: the arguments.
        split: the patients of the final training.
        work: what the round does.
        example: an image whose prediction is timed.
        watch: the time used.
        console: prints the choice.
        measured: whether to measure without a time limit too, for a dry run.
    """
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    settings = (*request.settings, *_seed_of(request))
    named, why = request.named_method, ""
    if request.method is None and request.preset is None:
        why = "since --set names it" if named else "the recommended one"

    def plan_of(extra: Sequence[str]) -> Plan:
        return plan_training(
            data, named, request.labelled, None, request.preset, (*settings, *extra),
            torch_device(request.device), None, split,
        )  # fmt: skip

    plan = plan_of(())
    method, count = plan.config.method, plan.config.training.iterations
    if why:
        console.info(f"method: {method}, {why} (to change it: --method)")
    if request.seconds is None and not measured:
        return Choice(method, settings, count)
    if measured:
        for address in downloads(plan.config):
            console.info(f"not downloaded here: {address}")
    costs = measure(plan, request, example)
    if request.seconds is None:
        return Choice(method, settings, count, costs)
    extra = _affordable_input(plan, request, work, costs, watch, console)
    if extra:
        costs = measure(plan_of(extra), request, example)
    shares = divide(request.seconds, watch.used(), work, costs)
    count = max(round(shares.each / costs.step), 1)
    console.info(
        f"{plural(work.trainings, 'training')} of about {duration(shares.each)} and "
        f"{plural(count, 'iteration')} of {costs.step:.2g} s fit into {duration(request.seconds)} (--time)"
    )
    if shares.excess > EXCESS * request.seconds:
        console.warn(
            f"predicting {plural(work.masks, 'image')} takes about {duration(costs.mask * work.masks)}, so "
            f"the command takes about {duration(request.seconds + shares.excess)}, longer than --time"
        )
    return Choice(method, (*settings, *extra), count, costs, shares)


def _affordable_input(
    plan: Plan, request: RunRequest, work: Work, costs: Costs, watch: Stopwatch, console: Console
) -> tuple[str, ...]:
    """Choose the input's size by the time, and return the settings that differ from the plan's.

    Crops are replaced by resized slices if predicting them would take too long. Slices that are resized to a
    small square are larger if the time allows `ENOUGH` iterations of them.
    """
    assert request.seconds is not None
    origins, size = plan.resolved.origins, plan.config.data.size
    if plan.config.data.dimensions == 3:
        return ()
    left = request.seconds - watch.used()
    by_itself = origins.get(CROP_SIZE, "--set") != "--set"
    if by_itself and work.afterwards(costs) > LEAST * left:
        console.info(
            f"slices are resized to {size} x {size}, since predicting crops would take more than half of the "
            "time (--time)"
        )
        return (f"{CROP_SIZE}=null",)
    if request.preset is not None or "--set" in (origins.get(SIZE), origins.get(CROP_SIZE)):
        return ()
    count = divide(request.seconds, watch.used(), work, costs).each / costs.step
    largest = larger_size(size, size_of(plan.data.manifest), count, step_of(plan))
    if largest == size or (by_itself and lost_structures(plan.data, plan.cases.labelled, largest)):
        return ()
    console.info(f"slices are resized to {largest} x {largest}, since the time allows it (--time)")
    return (f"{SIZE}={largest}", *([f"{CROP_SIZE}=null"] if by_itself else []))


def larger_size(size: int, wanted: int, count: float, step: int) -> int:
    """Return the largest side of the input that leaves `ENOUGH` iterations.

    A step takes time in proportion to the pixels.

    Args:
        size: the side that was measured.
        wanted: the side that the data suggest; a larger one gains nothing.
        count: number of iterations of ``size`` that the time allows.
        step: the side is a multiple of this, or ``size``.
    """
    most = min(wanted, size * math.sqrt(count / ENOUGH))
    return max(size, int(most // step) * step)


def step_of(plan: Plan) -> int:
    """The number that the input's sides must be multiples of."""
    cls, own = methods.entry(plan.config.method).load(), plan.config.options
    return cls.size_multiple(own)


def _seed_of(request: RunRequest) -> list[str]:
    """The setting of the training's seed, which overrides that of a preset; none if it has no effect."""
    if "seed" in parse_assignments(request.settings).get("training", {}):
        return []
    _, preset = method_and_preset(request.method, request.preset)
    before = preset.get("training", {}).get("seed", 0)
    return [] if before == request.seed else [f"training.seed={request.seed}"]


def measure(plan: Plan, request: RunRequest, example: SourceCase) -> Costs:
    """Measure a step, the prediction of a prepared case, and that of an image of the source."""
    begun = time.monotonic()
    data = plan.data
    session = Session(data, plan.config, plan.cases, request.device, None, Quiet(), download=False)
    loading = time.monotonic() - begun
    step = session.time_step()
    cases = sorted(data.manifest.cases, key=lambda case: case.shape)
    prediction = session.time_prediction(cases[len(cases) // 2])
    begun = time.monotonic()
    with memory_for(example.identifier, "predict it"):
        volume = example.read()
        session.untrained_predictor().predict(volume.image, spacing=volume.spacing)
    return Costs(step, prediction, time.monotonic() - begun, loading)
