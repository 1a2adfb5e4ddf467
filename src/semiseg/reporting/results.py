"""What stands in the folder of a run or a benchmark, read for the page."""

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
from semiseg.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Scored:
    """One run by one network, with its evaluation.

    Attributes:
        folder: the run's.
        row: what `semiseg.reporting.tables` takes.
        default: whether the network is the one meant for inference.
        dice: class (None: mean over the case's classes) -> case -> Dice.
    """

    folder: Path
    row: dict[str, Any]
    default: bool
    dice: dict[str | None, dict[str, float]]

    @property
    def network(self) -> str:
        """The method's network; ``row["network"]`` also names what else was not the run's default."""
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
    """What a benchmark's folder holds; ``data`` is None where the prepared data are gone."""

    folder: Path
    plan: dict[str, Any]
    runs: list[dict[str, Any]]
    scored: list[Scored]
    data: PreparedData | None

    @property
    def variants(self) -> list[str]:
        """In the order of the plan; their position gives them their colour."""
        return list(dict.fromkeys(run["variant"]["name"] for run in self.runs))

    @property
    def budgets(self) -> list[str]:
        """Of the scored runs, the smallest first."""
        found = dict.fromkeys(s.row["labelled"] for s in self.scored)
        return sorted(found, key=tables.budget_order)

    def of(self, budget: str, variant: str | None = None) -> list[Scored]:
        """Scored runs by their networks for inference."""
        return [
            s
            for s in self.scored
            if s.default and s.row["labelled"] == budget and variant in (None, s.row["variant"])
        ]


def read_benchmark(folder: Path | str) -> Benchmark:
    """Read a benchmark's plan and every evaluation that is there.

    Raises:
        UserError: where the plan cannot be read.
    """
    folder = Path(folder)
    path = folder / "benchmark.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        plan, runs = dict(content["plan"]), list(content["runs"])
        scored = [s for run in runs for s in _read_planned(folder / run["folder"], run, plan["on"])]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} cannot be read as a benchmark's plan: run it again.") from None
    return Benchmark(folder, plan, runs, scored, open_data(plan["data"]))


def _read_planned(folder: Path, run: Mapping[str, Any], on: str) -> list[Scored]:
    named = {"variant": run["variant"]["name"], "labelled": run["labelled"], "seed": run["seed"]}
    return [s for s in read_run(folder, named) if s.row["on"] == on]


def read_run(folder: Path | str, named: Mapping[str, Any] | None = None) -> list[Scored]:
    """Every evaluation of one run, the networks for inference first; empty where there is none.

    Args:
        folder: the run's.
        named: variant, labelled and seed as planned; default: the run's own.

    Raises:
        UserError: where one of the run's files is damaged.
    """
    run = RunFolder(folder)
    if not run.exists():
        return []
    config = run.config()
    known = {
        "variant": config.method,
        "labelled": run.split().budget,
        "seed": config.training.seed,
        **(named or {}),
        "method": config.method,
        "size": config.data.input_size,
        "iterations": config.training.iterations,
        "pretrained": run.read_json("run.json").get("notes", []),
        "seconds": (run.finished() or {}).get("seconds"),
    }
    order = _networks(config)
    found = []
    for path in run.folder.glob("evaluation/*/summary.json"):
        on, _, network = path.parent.name.partition("-")
        summary = run.read_json(str(path.relative_to(run.folder)))
        if not {"classes", "mean_over_classes", "protocol"} <= set(summary):
            raise UserError(f"{path} is no summary of an evaluation: evaluate the run again.")
        row = {**known, "network": network, "on": on, "summary": summary}
        found.append(Scored(run.folder, row, False, _dice(path.with_name("cases.csv"))))
    rank = {name: index for index, name in enumerate(order)}
    found.sort(key=lambda s: (s.row["on"], rank.get(s.row["network"], 99), s.row["network"]))
    # of each part the first that was scored
    firsts = {s.row["on"]: s.row["network"] for s in reversed(found)}
    return [dataclasses.replace(s, default=s.row["network"] == firsts[s.row["on"]]) for s in found]


def _networks(config: RunConfig) -> tuple[str, ...]:
    """The run's networks, the one for inference first; none of a method that is gone."""
    try:
        return methods.entry(config.method).load().networks_of(config)
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
    """The prepared data, or None where they have gone: a page can do without."""
    try:
        return PreparedData(folder)
    except UserError:
        return None
