"""``semiseg benchmark``: a list of runs on the same split, budget and evaluation, and one table.

It can be interrupted, resumed and extended: what is finished is not done again.

::

    BENCH/benchmark.json       the plan
    BENCH/runs/NAME/           one run folder each, with its evaluation
    BENCH/runs.csv             one line per run, network and class
    BENCH/table.csv, table.md  means over seeds
"""

import contextlib
import dataclasses
import json
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg import methods, presets
from semiseg.config import as_assignments, parse_assignments
from semiseg.console import Console, Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import RunFailure, UserError
from semiseg.evaluation.protocols import find_protocol
from semiseg.files import atomic_write, is_partial
from semiseg.methods.base import Method
from semiseg.networks.build import without_pretrained
from semiseg.training.configuration import SMALL
from semiseg.training.plan import check_terms, plan_training
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.loading import torch_device


@dataclasses.dataclass(frozen=True)
class Variant:
    """One line of a benchmark: a method, with the sections of a study where it comes from one."""

    name: str
    method: str
    sections: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One training and its evaluation."""

    variant: Variant
    labelled: str
    seed: int
    folder: Path

    @property
    def title(self) -> str:
        """For the person."""
        return f"{self.variant.name}, {self.labelled} labelled, seed {self.seed}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all runs of a benchmark share: it may not change when the benchmark is extended."""

    data: str
    preset: str | None
    settings: tuple[str, ...]
    on: str
    protocol: str | None


@dataclasses.dataclass(frozen=True)
class BenchmarkResult:
    """Where the tables are, how many runs they hold, and what failed."""

    folder: Path
    finished: int
    failed: tuple[str, ...]


def benchmark(
    data: Path | str | None,
    out: Path | str,
    *,
    methods: Sequence[str] = (),
    study: str | None = None,
    labelled: Sequence[str] = ("all",),
    seeds: Sequence[int] = (0,),
    preset: str | None = None,
    settings: Sequence[str] = (),
    config: Mapping[str, Mapping[str, Any]] | None = None,
    on: str = "validation",
    protocol: str | None = None,
    jobs: int = 1,
    threads: int | None = 1,
    device: str = "auto",
    dry_run: bool = False,
    console: Console = Console(),  # noqa: B008 - holds nothing
) -> BenchmarkResult:
    """Run every combination of methods (or a study's variants), budgets and seeds; make the table.

    A seed is the training's; it also draws the labelled patients where the data have no order of
    their own, so that budgets of one seed are nested. With neither methods nor a study the runs that
    ``out`` already plans are gone on with. ``settings`` and ``config`` are those of `train`.

    Raises:
        UserError: for unknown names, or where ``out`` holds a benchmark of other data or settings.
    """
    folder, settings = Path(out), [*settings, *as_assignments(config)]
    if preset is None and (methods or study):
        preset = _usual_preset(folder, methods, study, device, console)
    plan, runs = _plan(
        folder, data, list(methods), study, labelled, seeds, preset, settings, on, protocol
    )
    prepared = PreparedData(plan.data)
    todo = [run for run in runs if not _is_done(run, plan)]
    _check(prepared, plan, todo, device)
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    console.say(f"{count}, {len(runs) - len(todo)} of them finished: {folder}")
    for line in _beaten(plan, runs):
        console.say(line)
    if dry_run:
        for run in todo:
            console.say(f"  would run: {run.title}")
        return BenchmarkResult(folder, len(runs) - len(todo), ())
    _save_plan(folder, plan, runs)
    failed = _run_all(todo, plan, jobs, threads, device, console)
    finished = [run for run in runs if _is_done(run, plan)]
    rows = [row for run in finished for row in _rows(run, plan)]
    if rows:
        from semiseg.reporting.tables import write_tables

        text = write_tables(folder, rows, prepared, plan.on)
        console.say(text)
        console.say(f"table: {folder / 'table.md'}")
    return BenchmarkResult(folder, len(finished), tuple(failed))


def _usual_preset(
    folder: Path, names: Sequence[str], study: str | None, device: str, console: Console
) -> str | None:
    """The preset of the benchmark in ``folder``; of a new one without a GPU that of its first method
    beside the baseline, for all methods alike.
    """
    path = folder / "benchmark.json"
    if path.is_file():
        return _load_plan(path)[0].preset
    if torch_device(device).type != "cpu":
        return None
    variants = presets.load_study(study)["variants"].values() if study is not None else ()
    compared = [*names, *(variant["method"] for variant in variants)]
    first = next((name for name in compared if name != "supervised"), None)
    preset = f"{first}-{SMALL}" if first in presets.overlays(SMALL) else SMALL
    console.say(f"preset: {preset}, as there is no GPU (--preset takes another)")
    return preset


def _plan(
    folder: Path,
    data: Path | str | None,
    names: list[str],
    study: str | None,
    labelled: Sequence[str],
    seeds: Sequence[int],
    preset: str | None,
    settings: Sequence[str],
    on: str,
    protocol: str | None,
) -> tuple[Plan, list[PlannedRun]]:
    if on not in ("validation", "test"):
        raise UserError(f"--on {on}: take validation or test.")
    path = folder / "benchmark.json"
    old = _load_plan(path) if path.is_file() else None
    if not names and study is None:
        if old is None:
            raise UserError(
                f"Say what to run: --methods {','.join(methods.table())} or --study NAME."
            )
        given = [preset, *settings, protocol, data and str(Path(data).resolve()) != old[0].data]
        if any(given) or [*labelled, *seeds] != ["all", 0] or on not in ("validation", old[0].on):
            raise UserError(
                "Say with --methods or --study what the other options are for; -o alone goes on with "
                f"what {folder} plans."
            )
        return old
    if not labelled or not seeds:
        raise UserError("--labelled and --seeds need one value each at least, such as 3 and 0.")
    if old is None and folder.exists():
        if not folder.is_dir():
            raise UserError(f"{folder} is a file: choose another -o.")
        if not all(is_partial(p) for p in folder.iterdir()):
            raise UserError(f"{folder} exists and is no benchmark: choose another -o.")
    if data is None and old is None:
        raise UserError("Say which prepared data set the benchmark runs on.")
    variants = [Variant(name, methods.entry(name).name) for name in names]
    if study is not None:
        for name, content in presets.load_study(study)["variants"].items():
            sections = {k: v for k, v in content.items() if k != "method"}
            variants.append(Variant(str(name), methods.entry(content["method"]).name, sections))
    where = str(Path(data).resolve()) if data is not None else old[0].data if old else ""
    plan = Plan(where, preset and _absolute(preset), tuple(settings), on, protocol)
    if old is not None and old[0] != plan:
        raise UserError(
            f"{folder} holds a benchmark of other data, preset, settings or evaluation, which would not "
            "be comparable: give the same ones, or another -o."
        )
    runs = [
        PlannedRun(v, _absolute(budget), seed, folder / "runs" / _slug(v.name, budget, seed))
        for seed in seeds
        for budget in labelled
        for v in variants
    ]
    known = {run.folder: run for run in reversed([*(old[1] if old else []), *runs])}
    return plan, list(reversed(known.values()))  # each once, those of before as they were


def _check(data: PreparedData, plan: Plan, runs: Sequence[PlannedRun], device: str) -> None:
    """Refuse, before anything is written, what no training could begin with.

    Raises:
        UserError: as `train` and `evaluate` would.
    """
    torch_device(device)
    if plan.protocol is not None:
        find_protocol(plan.protocol)
    if plan.on == "test" and not data.of_patients(data.manifest.split.test, labelled=True):
        raise UserError(f"{data.folder} has no labelled test case: score with --on validation.")
    built: dict[str, Method] = {}
    for run in runs:
        settings = [*plan.settings, f"training.seed={run.seed}"]
        name, sections = run.variant.method, run.variant.sections
        planned = plan_training(
            data, name, run.labelled, _labelled_seed(plan, run.seed), plan.preset, settings,
            torch_device(device), sections,
        )  # fmt: skip
        cases, config = planned.cases, planned.config
        if not cases.validation and plan.on == "validation":
            raise UserError(
                f"{run.title}: {data.folder} has no labelled validation case to score on: "
                "take --on test where there is a test part, five labelled patients or more, or prepare "
                "the data with --split."
            )
        if run.variant.name not in built:
            config = without_pretrained(config, "hub")  # nothing is fetched to check a plan
            built[run.variant.name] = methods.entry(name).load()(data.task, config)
        check_terms(built[run.variant.name], config, cases)


def _beaten(plan: Plan, runs: Sequence[PlannedRun]) -> list[str]:
    """What ``--set`` asks for and a study's row has otherwise, in sentences."""
    variants = {run.variant.name: run.variant for run in runs}.values()
    lines = []
    for section, values in parse_assignments(plan.settings).items():
        for key in values:
            own = [v.name for v in variants if key in v.sections.get(section, {})]
            if own:
                rows = "', '".join(own)
                lines.append(f"{section}.{key} is as the study has it, not as --set, in '{rows}'")
    return lines


def _absolute(word: str) -> str:
    """A file, of patients or a preset, as a path that holds from anywhere; other words as they are."""
    return str(Path(word).resolve()) if Path(word).is_file() else word


def _slug(variant: str, budget: str, seed: int) -> str:
    """A run's folder; a budget in a file is known by the file's name."""
    text = f"{variant}-{Path(budget).stem if Path(budget).is_file() else budget}-s{seed}"
    return re.sub(r"[^A-Za-z0-9.%]+", "-", text.replace("+", "plus")).strip("-").lower()


def _save_plan(folder: Path, plan: Plan, runs: Sequence[PlannedRun]) -> None:
    content = {
        "plan": dataclasses.asdict(plan),
        "runs": [
            {**dataclasses.asdict(run), "folder": str(run.folder.relative_to(folder))}
            for run in runs
        ],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / "benchmark.json") as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): choose another -o."
        ) from error


def _load_plan(path: Path) -> tuple[Plan, list[PlannedRun]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        plan = content["plan"] | {"settings": tuple(content["plan"]["settings"])}
        runs = [
            PlannedRun(Variant(**r["variant"]), r["labelled"], r["seed"], path.parent / r["folder"])
            for r in content["runs"]
        ]
        return Plan(**plan), runs
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} cannot be read as a benchmark's plan: choose another -o."
        ) from None


def _networks(run: PlannedRun) -> tuple[str, ...]:
    method = methods.entry(run.variant.method).load()
    folder = RunFolder(run.folder)
    # the second network of a run of volumes is another one; before a run is begun either will do
    return method.networks_of(folder.config()) if folder.exists() else method.networks


def evaluation_name(on: str, network: str) -> str:
    """The folder of an evaluation within its run."""
    return f"evaluation/{on}-{network}"


def _is_done(run: PlannedRun, plan: Plan) -> bool:
    return all(
        (run.folder / evaluation_name(plan.on, network) / "summary.json").is_file()
        for network in _networks(run)
    )


def _run_all(
    todo: Sequence[PlannedRun],
    plan: Plan,
    jobs: int,
    threads: int | None,
    device: str,
    console: Console,
) -> list[str]:
    """Do what is left, ``jobs`` at a time; a run that fails does not stop the others."""
    failed: list[str] = []

    def note(run: PlannedRun, problem: str | None) -> None:
        console.say(
            f"{'FAILED' if problem else 'done'}: {run.title}{f': {problem}' if problem else ''}"
        )
        if problem:
            failed.append(run.title)

    if jobs <= 1:
        for run in todo:
            console.say(f"--- {run.title}")
            note(run, one_run(run, plan, threads, device, console))
        return failed
    with console.bar("runs", len(todo)) as bar:
        for run, problem in _in_processes(todo, plan, jobs, threads, device):
            note(run, problem)
            bar.advance()
    return failed


def _in_processes(
    todo: Sequence[PlannedRun], plan: Plan, jobs: int, threads: int | None, device: str
) -> Iterator[tuple[PlannedRun, str | None]]:
    """A process a run, ``jobs`` at a time; gives each run and its problem as it ends.

    A process that is killed takes no other run with it; stopped itself, it stops them all.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(todo)
    running: dict[Any, tuple[Any, Any, PlannedRun]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                answer, sender = context.Pipe(duplex=False)
                process = context.Process(
                    target=_child, args=(sender, run, plan, threads, device), daemon=True
                )
                with _deaf_to_interrupts():
                    process.start()
                sender.close()
                running[process.sentinel] = (process, answer, run)
            for sentinel in multiprocessing.connection.wait(list(running)):
                process, answer, run = running.pop(sentinel)
                process.join()
                try:
                    problem = answer.recv()
                except EOFError:
                    problem = (
                        f"its process ended with exit code {process.exitcode} (too little memory?); "
                        "repeat the command to resume"
                    )
                yield run, problem
    finally:
        for process, _, _ in running.values():
            process.terminate()
        for process, _, _ in running.values():
            process.join()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """A process started within does not hear Ctrl-C: its parent does, and stops it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _child(sender: Any, run: PlannedRun, plan: Plan, threads: int | None, device: str) -> None:
    """`one_run` in a process of its own, which does not outlive its parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow(join: Callable[[], None] = parent.join) -> None:
            join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
    sender.send(one_run(run, plan, threads, device))


def one_run(
    run: PlannedRun,
    plan: Plan,
    threads: int | None,
    device: str,
    console: Console | None = None,
) -> str | None:
    """Train (or resume) and evaluate one run. Returns what went wrong, or None."""
    from semiseg.workflows.evaluate import evaluate
    from semiseg.workflows.train import resume, train

    console = console or Quiet()
    try:
        if RunFolder(run.folder).exists():
            resume(run.folder, data=plan.data, device=device, threads=threads, console=console)
        else:
            train(
                plan.data, run.folder, method=run.variant.method, labelled=run.labelled,
                labelled_seed=_labelled_seed(plan, run.seed), preset=plan.preset,
                settings=[*plan.settings, f"training.seed={run.seed}"],
                sections=run.variant.sections, device=device, threads=threads, overwrite=True,
                console=console,
            )  # fmt: skip
        for network in _networks(run):
            evaluate(
                run.folder, on=plan.on, data=plan.data, network=network, protocol=plan.protocol,
                device=device, threads=threads, console=console,
                out=run.folder / evaluation_name(plan.on, network),
            )  # fmt: skip
    except (UserError, RunFailure) as error:
        return str(error)
    except Exception as error:
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        return f"{type(error).__name__}: {error} (see {run.folder / 'error.txt'})"
    (run.folder / "error.txt").unlink(missing_ok=True)  # of an earlier attempt
    return None


def _labelled_seed(plan: Plan, seed: int) -> int | None:
    """None where the data say who is labelled first; else the seed, so that draws differ."""
    has_order = PreparedData(plan.data).manifest.split.labelled_order is not None
    return None if has_order else seed


def _rows(run: PlannedRun, plan: Plan) -> list[dict[str, Any]]:
    """One row per network, with the summary as `semiseg evaluate` wrote it."""
    folder = RunFolder(run.folder)
    config = folder.config()
    rows = []
    for network in _networks(run):
        summary = folder.read_json(f"{evaluation_name(plan.on, network)}/summary.json")
        rows.append(
            {
                "variant": run.variant.name,
                "method": run.variant.method,
                "labelled": run.labelled,
                "seed": run.seed,
                "network": network,
                "size": config.data.input_size,
                "iterations": config.training.iterations,
                "pretrained": folder.read_json("run.json")["notes"],
                "seconds": (folder.finished() or {}).get("seconds"),
                "summary": summary,
            }
        )
    return rows
