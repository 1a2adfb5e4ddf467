"""From what a person asks for, and the benchmark that is there, to the plan."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from semiseg import methods
from semiseg.console import Console
from semiseg.errors import UserError
from semiseg.files import is_partial
from semiseg.workflows.benchmark.plan import (
    BenchmarkPlan,
    CommonSettings,
    absolute,
    load_plan,
    small_preset,
    variants_of,
)


@dataclasses.dataclass(frozen=True)
class Request:
    """The arguments of `benchmark` that decide on its plan."""

    data: Path | str | None
    methods: Sequence[str]
    study: str | None
    labelled: Sequence[str]
    seeds: Sequence[int]
    preset: str | None
    settings: Sequence[str]
    on: str
    protocol: str | None

    @property
    def place(self) -> str | None:
        """The absolute path of the data, where they are named."""
        return None if self.data is None else str(Path(self.data).resolve())


def make_plan(folder: Path, request: Request, small: bool, console: Console) -> BenchmarkPlan:
    """The plan of a new, an extended or a resumed benchmark; nothing is written.

    Args:
        folder: of the benchmark.
        request: without methods and study the plan in ``folder`` is taken as it is.
        small: whether a new benchmark without a preset takes one for a machine without a GPU.
        console: is told which preset that is.

    Raises:
        UserError: for unknown names, or where ``folder`` holds something else.
    """
    if request.on not in ("validation", "test"):
        raise UserError(f"--on {request.on}: take validation or test.")
    old = load_plan(folder)
    if not request.methods and request.study is None:
        return _resumed(old, request)
    if not request.labelled or not request.seeds:
        raise UserError("--labelled and --seeds need one value each at least, such as 3 and 0.")
    if old is None:
        _check_new(folder)
    place = request.place or (old.common.data if old is not None else None)
    if place is None:
        raise UserError("Say which prepared data set the benchmark runs on.")
    variants = variants_of(request.methods, request.study)
    preset = request.preset
    if preset is not None:
        preset = absolute(preset)
    elif old is not None:
        preset = old.common.preset
    elif small:
        preset = small_preset(variants, console)
    common = CommonSettings(place, preset, tuple(request.settings), request.on, request.protocol)
    if old is not None and old.common != common:
        raise UserError(
            f"{folder} holds a benchmark of other data, preset, settings or evaluation, which would not "
            "be comparable: give the same ones, or another -o."
        )
    plan = old if old is not None else BenchmarkPlan(folder, common, ())
    return plan.extended(variants, request.labelled, request.seeds)


def _resumed(old: BenchmarkPlan | None, request: Request) -> BenchmarkPlan:
    """The plan that is there, which options for other runs would contradict."""
    if old is None:
        raise UserError(f"Say what to run: --methods {','.join(methods.table())} or --study NAME.")
    other_data = request.place is not None and request.place != old.common.data
    given = [request.preset, *request.settings, request.protocol, other_data]
    other_runs = [*request.labelled, *request.seeds] != ["all", 0]
    if any(given) or other_runs or request.on not in ("validation", old.common.on):
        raise UserError(
            "Say with --methods or --study what the other options are for; -o alone resumes the "
            f"benchmark in {old.folder}."
        )
    return old


def _check_new(folder: Path) -> None:
    """Refuse a folder that holds something else."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another -o.")
    if not all(is_partial(path) for path in folder.iterdir()):
        raise UserError(f"{folder} exists and is not a benchmark: choose another -o.")
