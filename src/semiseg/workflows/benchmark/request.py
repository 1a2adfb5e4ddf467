"""Make the plan of a benchmark from the arguments and an existing plan."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from semiseg import methods
from semiseg.config import parse_assignments
from semiseg.console import Console
from semiseg.data.budget import plain_budget
from semiseg.errors import UserError
from semiseg.files import is_partial
from semiseg.text import duration
from semiseg.workflows.benchmark.plan import (
    BenchmarkPlan,
    CommonSettings,
    absolute_preset,
    load_plan,
    small_preset,
    variants_of,
)

# The best weights of a run are chosen by its validation cases, so they are not scored on them.
WEIGHTS = {"validation": "last", "test": "best"}


@dataclasses.dataclass(frozen=True)
class Request:
    """The arguments of `benchmark` that determine its plan."""

    data: Path | str | None
    methods: Sequence[str]
    study: str | None
    labelled: Sequence[str]
    seeds: Sequence[int]
    preset: str | None
    settings: Sequence[str]
    on: str
    protocol: str | None
    weights: str | None
    seconds: float | None = None

    @property
    def place(self) -> str | None:
        """The absolute path of the data, if given."""
        return None if self.data is None else str(Path(self.data).resolve())


def make_plan(folder: Path, request: Request, small: bool, console: Console) -> BenchmarkPlan:
    """Make the plan of a new, an extended or a resumed benchmark; nothing is written.

    Args:
        folder: the benchmark's folder.
        request: the arguments. Without methods and study, the plan in ``folder`` is used unchanged.
        small: whether a new benchmark without a preset uses one for a machine without a GPU.
        console: prints which preset that is.

    Raises:
        UserError: if a name is unknown, or ``folder`` contains something else.
    """
    if request.on not in ("validation", "test"):
        raise UserError(f"--on {request.on}: choose validation or test.")
    if request.weights not in (None, "best", "last"):
        raise UserError(f"--weights {request.weights}: choose best or last.")
    if "seed" in parse_assignments(request.settings).get("training", {}):
        raise UserError("training.seed cannot be set for a whole benchmark: use --seeds.")
    old = load_plan(folder)
    if not request.methods and request.study is None:
        return _resumed(old, request)
    if not request.labelled or not request.seeds:
        raise UserError("--labelled and --seeds need at least one value each, such as 3 and 0.")
    _check_once("--methods", [methods.entry(name).name for name in request.methods])
    _check_once("--labelled", [plain_budget(budget) for budget in request.labelled])
    _check_once("--seeds", request.seeds)
    if old is None:
        _check_new(folder)
    place = request.place or (old.common.data if old is not None else None)
    if place is None:
        raise UserError(
            "No prepared data set was given: semiseg benchmark DATA -o FOLDER --methods NAMES."
        )
    variants = variants_of(request.methods, request.study)
    preset = request.preset
    if preset is not None:
        preset = absolute_preset(preset)
    elif old is not None:
        preset = old.common.preset
    elif small:
        preset = small_preset(variants, console)
    limit = (None, None) if old is None else (old.common.time, old.common.seconds)
    common = CommonSettings(
        place, preset, tuple(request.settings), request.on, request.protocol,
        request.weights or WEIGHTS[request.on], *limit,
    )  # fmt: skip
    if old is not None:
        _check_time(old, request)
    if old is not None and old.common != common:
        raise UserError(
            f"{folder} contains a benchmark with other data, preset, settings or evaluation, so the "
            "results would not be comparable: give the same ones, or choose another -o."
        )
    plan = old if old is not None else BenchmarkPlan(folder, common, ())
    return plan.extended(variants, request.labelled, request.seeds)


def _check_once(option: str, values: Sequence[str | int]) -> None:
    """Check that no value of a list occurs twice, which would be one run."""
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise UserError(f"{option} names {twice} twice: name it once.")


def _resumed(old: BenchmarkPlan | None, request: Request) -> BenchmarkPlan:
    """The existing plan; raises `UserError` if there is none, or if options contradict it."""
    if old is None:
        raise UserError(
            f"No method was given: --methods {','.join(methods.table())} or --study NAME."
        )
    other_data = request.place is not None and request.place != old.common.data
    _check_time(old, request)
    given = [request.preset, *request.settings, request.protocol, other_data]
    other_runs = [*request.labelled, *request.seeds] != ["all", 0]
    other_weights = request.weights not in (None, old.common.weights)
    if any((*given, other_runs, other_weights)) or request.on not in ("validation", old.common.on):
        raise UserError(
            "No method was given: to add runs, give --methods or --study; to resume the benchmark in "
            f"{old.folder}, pass only -o."
        )
    return old


def _check_time(old: BenchmarkPlan, request: Request) -> None:
    """Check that ``--time`` does not change, since all trainings of a benchmark take equally long."""
    if request.seconds is None or request.seconds == old.common.time:
        return
    each = old.common.seconds
    takes = "by iterations" if each is None else f"for {duration(each)} each"
    raise UserError(
        f"{old.folder} contains a benchmark that trains {takes}: leave out --time, or choose another -o."
    )


def _check_new(folder: Path) -> None:
    """Check that the folder is new or empty."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another -o.")
    if not all(is_partial(path) for path in folder.iterdir()):
        raise UserError(f"{folder} exists and is not a benchmark: choose another -o.")
