"""Read the results in the folder of a run or a benchmark."""

import dataclasses
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.reporting import tables
from semiseg.training.logs import read_csv
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
    path = folder / "benchmark.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        plan, runs = dict(content["plan"]), list(content["runs"])
        scored = [s for run in runs for s in _read_planned(folder / run["folder"], run, plan["on"])]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} is not a valid plan of a benchmark: run the benchmark again."
        ) from None
    return Benchmark(folder, plan, runs, scored, open_data(plan["data"]))


def _read_planned(folder: Path, run: Mapping[str, Any], on: str) -> list[Scored]:
    named = {"variant": run["variant"]["name"], "labelled": run["labelled"], "seed": run["seed"]}
    return [s for s in read_run(folder, named) if s.row["on"] == on]


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
    found.sort(key=lambda s: (s.row["on"], rank.get(s.row["network"], 99), s.row["network"]))
    # the first scored network of each part
    firsts = {s.row["on"]: s.row["network"] for s in reversed(found)}
    return [dataclasses.replace(s, default=s.row["network"] == firsts[s.row["on"]]) for s in found]


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
    try:
        summary = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise UserError(f"{path} is missing or damaged: restore it or train again.") from None
    if not {"classes", "mean_over_classes", "protocol"} <= set(summary):
        raise UserError(f"{path} is not the summary of an evaluation: evaluate the run again.")
    row = {
        "variant": config.method,
        "labelled": run.split().budget,
        "seed": config.training.seed,
        **(named or {}),
        "method": config.method,
        "size": config.data.input_size,
        "iterations": steps_of(config, ended),
        "pretrained": run.read_json("run.json").get("notes", []),
        "seconds": (ended or {}).get("seconds"),
        "network": network or next(iter(_networks(config)), config.method),
        "on": on,
        "summary": summary,
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
    try:
        for row in read_csv(path):
            values = by_class.setdefault(row["class"], {})
            if row["dice"]:
                values[row["case"]] = float(row["dice"])
                of_case.setdefault(row["case"], []).append(float(row["dice"]))
    except (KeyError, ValueError, TypeError):
        raise UserError(f"{path} is damaged: evaluate the run again.") from None
    by_class[None] = {case: statistics.fmean(values) for case, values in of_case.items()}
    return by_class


def open_data(folder: str) -> PreparedData | None:
    """Open the prepared data; None if they no longer exist, since a page does not need them."""
    try:
        return PreparedData(folder)
    except UserError:
        return None
