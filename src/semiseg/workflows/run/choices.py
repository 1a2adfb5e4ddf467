"""The method of a round and the length of its trainings, from the images and the time."""

import dataclasses
import time
from collections.abc import Sequence

import torch

from semiseg import methods, networks, presets
from semiseg.config import parse_assignments
from semiseg.console import Console, Quiet
from semiseg.data.manifest import PreparedData
from semiseg.datasets.base import SourceCase
from semiseg.errors import memory_for
from semiseg.networks.build import downloads
from semiseg.text import duration, plural
from semiseg.training.device import torch_device
from semiseg.training.plan import Plan, plan_training
from semiseg.training.resolution import CROP_SIZE
from semiseg.training.run_folder import RunSplit
from semiseg.training.session import Session
from semiseg.workflows.run.budget import LEAST, Costs, Shares, Stopwatch, Work, divide
from semiseg.workflows.run.request import RunRequest

FEWEST = 1000  # below this number of iterations, unlabelled images did not help (docs/results.md)
EXCESS = 0.1  # of the time; a larger one is announced


@dataclasses.dataclass(frozen=True)
class Choice:
    """The method, the settings and, if the time is limited, the length of a round's trainings.

    ``iterations`` are those of each training, also without a time limit.
    """

    method: str | None
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
    labelled = {c.identifier for c in data.of_patients(split.labelled, labelled=True)}
    unlabelled = any(c.identifier not in labelled for c in data.of_patients(split.split.train))
    settings = (*request.settings, *_seed_of(request))
    method, why = request.method, ""
    if method is None and request.preset is None:
        given = methods_of(request.settings)
        method = next(iter(given), "mcsc" if unlabelled else "supervised")
        none = "" if unlabelled else "no "
        why = "--set names it" if given else f"there are {none}unlabelled images"

    def plan_of(name: str | None) -> Plan:
        return plan_training(
            data, name, request.labelled, None, request.preset, settings,
            torch_device(request.device), None, split,
        )  # fmt: skip

    plan = plan_of(method)
    count = plan.config.training.iterations
    if request.seconds is None and not measured:
        console.info(f"method: {method}, since {why} (to change it: --method)") if why else None
        return Choice(method, settings, count)
    if measured:
        for address in downloads(plan.config):
            console.info(f"not downloaded here: {address}")
    costs = measure(plan, request, example)
    if request.seconds is None:
        return Choice(method, settings, count, costs)
    left = request.seconds - watch.used()
    cropped = plan.resolved.origins.get(CROP_SIZE, "--set") != "--set"
    if cropped and work.afterwards(costs) > LEAST * left:
        size = plan.config.data.size
        console.info(
            f"slices are resized to {size} x {size}, since predicting crops would take more than half of the "
            "time (--time)"
        )
        settings = (*settings, f"{CROP_SIZE}=null")
        costs = measure(plan_of(method), request, example)
    shares = divide(request.seconds, watch.used(), work, costs)
    if why and "unlabelled" in why and unlabelled and shares.each / costs.step < FEWEST:
        why = (
            f"{duration(request.seconds)} allow only {plural(int(shares.each / costs.step), 'iteration')} "
            f"with unlabelled images, which did not help below {FEWEST:,} iterations"
        )
        method = "supervised"
        costs = measure(plan_of(method), request, example)
        shares = divide(request.seconds, watch.used(), work, costs)
    if why:
        console.info(f"method: {method}, since {why} (to change it: --method)")
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
    return Choice(method, settings, count, costs, shares)


def _seed_of(request: RunRequest) -> list[str]:
    """The setting of the training's seed, which overrides that of a preset; none if it has no effect."""
    if "seed" in parse_assignments(request.settings).get("training", {}):
        return []
    preset = presets.load(request.preset, request.method) if request.preset else {}
    before = preset.get("training", {}).get("seed", 0)
    return [] if before == request.seed else [f"training.seed={request.seed}"]


def methods_of(settings: Sequence[str]) -> list[str]:
    """Return the names of the methods whose options ``settings`` contain.

    A method and a network may share a section. Options of the network do not name the method.
    """
    sections, table = parse_assignments(settings), networks.table()
    return sorted(
        name
        for name in sections.keys() & methods.table().keys()
        if name not in table
        or sections[name].keys() & methods.entry(name).load().Options.model_fields.keys()
    )


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
