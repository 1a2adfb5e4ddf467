"""Read the results in the folder of a run or a benchmark."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.csv_files import read_csv
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.stored_summary import REMEDY, read_summary
from semiseg.reporting import tables
from semiseg.strict import shown
from semiseg.training.benchmark_file import evaluation_name, read_plan
from semiseg.training.run_folder import RunFolder, steps_of


@dataclasses.dataclass(frozen=True)
class Scored:
    """One network of a run, with its evaluation.

    Attributes:
        folder: the run's folder.
        row: a row of `semiseg.reporting.tables`.
        default: whether the network is the one meant for inference.
        dice: class (None: mean over the case's classes) -> case -> Dice.
    """

    folder: Path
    row: dict[str, Any]
    default: bool
    dice: dict[str | None, dict[str, float]]

    @property
    def network(self) -> str:
        """The method's network. ``row["network"]`` also contains options that differ from the defaults."""
        return str(self._of.get("network", self.row["network"]))

    @property
    def place(self) -> str:
        """The folder of the evaluation within the run."""
        return f"evaluation/{self.row['on']}-{self.row['network']}"

    @property
    def weights(self) -> str:
        """'best', 'last' or 'step-N'."""
        return str(self._of.get("weights", "best"))

    @property
    def flips(self) -> bool:
        """Whether mirrored copies were averaged."""
        return bool(self._of.get("flips", False))

    @property
    def _of(self) -> Mapping[str, Any]:
        return dict(self.row["summary"].get("of") or {})


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """The contents of a benchmark's folder; ``data`` is None if the prepared data no longer exist."""

    folder: Path
    plan: dict[str, Any]
    runs: list[dict[str, Any]]
    scored: list[Scored]
    data: PreparedData | None

    @property
    def variants(self) -> list[str]:
        """The variants in the order of the plan, which determines their colours."""
        return list(dict.fromkeys(run["variant"]["name"] for run in self.runs))

    @property
    def budgets(self) -> list[str]:
        """The numbers of labelled patients of the scored runs, the smallest first."""
        found = dict.fromkeys(s.row["labelled"] for s in self.scored)
        return sorted(found, key=tables.budget_order)

    def of(self, budget: str, variant: str | None = None) -> list[Scored]:
        """The scored runs of a budget, with their networks for inference."""
        return [
            s
            for s in self.scored
            if s.default and s.row["labelled"] == budget and variant in (None, s.row["variant"])
        ]


def read_benchmark(folder: Path | str) -> Benchmark:
    """Read a benchmark's plan and all its evaluations.

    Raises:
        UserError: if the plan cannot be read.
    """
    folder = Path(folder)
    stored = read_plan(folder).model_dump()
    plan, runs = stored["plan"], list(stored["runs"])
    scored = [s for run in runs for s in _read_planned(folder / run["folder"], run, plan)]
    return Benchmark(folder, plan, runs, scored, open_data(plan["data"]))


def _read_planned(folder: Path, run: Mapping[str, Any], plan: Mapping[str, Any]) -> list[Scored]:
    """The evaluations of a run that belong to the benchmark's table."""
    named = {"variant": run["variant"]["name"], "labelled": run["labelled"], "seed": run["seed"]}
    own = [
        s
        for s in read_run(folder, named)
        if s.place == evaluation_name(plan["on"], s.network, plan["weights"])
    ]
    return [
        dataclasses.replace(s, row={**s.row, "network": s.network}, default=s is own[0])
        for s in own
    ]


def read_run(folder: Path | str, named: Mapping[str, Any] | None = None) -> list[Scored]:
    """Read all evaluations of a run, the networks for inference first; empty if there are none.

    Args:
        folder: the run's folder.
        named: variant, labelled and seed as planned; default: the run's own.

    Raises:
        UserError: if one of the run's files is damaged.
    """
    run = RunFolder(folder)
    if not run.exists():
        return []
    order = _networks(run.config())
    found = []
    for path in run.folder.glob("evaluation/*/summary.json"):
        on, _, network = path.parent.name.partition("-")
        found.append(scored_from(run, path, on, network, named))
    rank = {name: index for index, name in enumerate(order)}
    found.sort(key=lambda s: (s.row["on"], rank.get(s.network, 99), s.row["network"]))
    # the first scored network of each part
    firsts = {s.row["on"]: s.row["network"] for s in reversed(found)}
    return [dataclasses.replace(s, default=s.row["network"] == firsts[s.row["on"]]) for s in found]


def held_out_scores(scored: Sequence[Scored]) -> Scored | None:
    """The scores of the network for inference on the test part, else on the validation part."""
    parts = ("test", "validation")  # parts that did not train; `read_run` sorts by part
    return next((s for s in scored if s.default and s.row["on"] in parts), None)


def scored_from(
    run: RunFolder,
    path: Path,
    on: str,
    network: str | None = None,
    named: Mapping[str, Any] | None = None,
) -> Scored:
    """Read one evaluation.

    Args:
        run: a run with the configuration of the scored networks.
        path: its ``summary.json``, beside ``cases.csv``.
        on: the scored part.
        network: default: the one for inference.
        named: see `read_run`.

    Raises:
        UserError: if a file is damaged.
    """
    config, ended = run.config(), run.finished()
    row = {
        "variant": config.method,
        "labelled": run.split().budget,
        "seed": config.training.seed,
        **(named or {}),
        "method": config.method,
        "size": config.data.input_size,
        "iterations": steps_of(config, ended),
        "pretrained": list(run.facts().notes),
        "seconds": ended.seconds if ended else None,
        "network": network or next(iter(_networks(config)), config.method),
        "on": on,
        "summary": read_summary(path),
    }
    return Scored(run.folder, row, False, _dice(path.with_name("cases.csv")))


def _networks(config: RunConfig) -> tuple[str, ...]:
    """The run's networks, the one for inference first; empty if the method is not installed."""
    try:
        return methods.entry(config.method).load().network_attributes(config)
    except (UserError, ImportError):
        return ()


def _dice(path: Path) -> dict[str | None, dict[str, float]]:
    by_class: dict[str | None, dict[str, float]] = {None: {}}
    if not path.is_file():
        return by_class
    of_case: dict[str, list[float]] = {}
    for row in read_csv(path, ["case", "class", "dice"], REMEDY):
        values = by_class.setdefault(row["class"], {})
        if row["dice"]:
            value = _fraction(row["dice"], path)
            values[row["case"]] = value
            of_case.setdefault(row["case"], []).append(value)
    by_class[None] = {case: statistics.fmean(values) for case, values in of_case.items()}
    return by_class


def _fraction(text: str, path: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise UserError(f"{path} is damaged (dice {shown(text)} is not in 0 to 1): {REMEDY}.")
    return value


def open_data(folder: str) -> PreparedData | None:
    """Open the prepared data; None if they no longer exist, since a page does not need them."""
    try:
        return PreparedData(folder)
    except UserError:
        return None
