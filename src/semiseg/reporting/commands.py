"""The commands that repeat a run or a benchmark, rebuilt from the files in their folders."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from semiseg import presets
from semiseg.data.budget import parse_budget
from semiseg.data.manifest import PreparedData
from semiseg.data.splits import draw_labelled
from semiseg.errors import UserError
from semiseg.reporting.results import Benchmark, Scored
from semiseg.training.run_folder import RunFolder, RunSplit

MOST_SEEDS = 20  # number of --labelled-seed values that are tried


def train_command(run: RunFolder, data: PreparedData | None) -> str:
    """The command that repeats a run, rebuilt from its configuration.

    Args:
        run: the run.
        data: its prepared data, needed to find the seed of the labelled patients.
    """
    config, facts, split = run.config(), run.facts(), run.split()
    words = ["semiseg", "train", Path(facts.data).name, "--method", config.method]
    words += ["--labelled", split.budget]
    labelled_seed = None if data is None else _labelled_seed(data, split, config.training.seed)
    if labelled_seed is not None:
        words += ["--labelled-seed", str(labelled_seed)]
    if config.preset:
        words += ["--preset", config.preset]
    dump = config.model_dump(mode="json")
    sections = {**dump, **dump["networks"], config.method: dump["options"]}
    for name, origin in facts.origins.items():
        section, _, key = name.partition(".")
        if origin in ("--set", "the study"):
            value = sections.get(section, {}).get(key)
            words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    if config.training.seconds is not None:
        words += ["--time", f"{config.training.seconds:.0f}s"]
    return shlex.join([*words, "-o", run.folder.name])


def run_command(run: RunFolder) -> str:
    """The command line that made a round of ``semiseg run``; a call from Python is shown as one."""
    words = shlex.split(run.facts().command)
    return shlex.join(["semiseg", *words[1:]]) if "run" in words[1:2] else "semiseg.run(...)"


def evaluate_command(run: RunFolder, scored: Scored) -> str:
    """The command that repeats an evaluation of a run on its own data."""
    words = ["semiseg", "evaluate", run.folder.name, "--on", scored.row["on"]]
    words += ["--network", scored.network, "--protocol", scored.row["summary"]["protocol"]]
    if scored.weights != "best":
        words += ["--weights", scored.weights]
    return shlex.join([*words, *(["--flips"] if scored.flips else [])])


def _labelled_seed(data: PreparedData, chosen: RunSplit, seed: int) -> int | None:
    """The seed that chooses a run's labelled patients; None if it is the default or is not found."""
    train = data.manifest.split.train
    patients = [case.patient for case in data.of_patients(train, labelled=True)]
    patients = list(dict.fromkeys(patients))
    wanted = set(chosen.labelled)
    if chosen.validation_from_training:
        wanted |= set(chosen.split.validation)
    try:
        budget = parse_budget(chosen.budget, len(patients))
        for labelled_seed in (None, seed, *range(MOST_SEEDS)):
            if set(draw_labelled(data.manifest.split, patients, budget, labelled_seed)) == wanted:
                return labelled_seed
    except UserError:  # a list of patients that no longer exists
        return None
    return None


def benchmark_commands(bench: Benchmark) -> list[str]:
    """One command if the runs are a full grid, else one per budget and seed."""
    chosen: dict[tuple[str, int], list[str]] = {}
    for run in bench.runs:
        chosen.setdefault((run["labelled"], run["seed"]), []).append(run["variant"]["name"])
    grid = {(b, s) for b in {k[0] for k in chosen} for s in {k[1] for k in chosen}}
    if set(chosen) == grid and len({frozenset(names) for names in chosen.values()}) == 1:
        budgets, seeds = (list(dict.fromkeys(str(k[i]) for k in chosen)) for i in (0, 1))
        return [_benchmark_command(bench, bench.variants, budgets, seeds)]
    return [
        _benchmark_command(bench, names, [budget], [str(seed)])
        for (budget, seed), names in chosen.items()
    ]


def _benchmark_command(
    bench: Benchmark, names: Sequence[str], budgets: Sequence[str], seeds: Sequence[str]
) -> str:
    plan = bench.plan
    variants = {run["variant"]["name"]: run["variant"] for run in bench.runs}
    plain = [n for n in names if variants[n]["method"] == n and not variants[n]["sections"]]
    words = ["semiseg", "benchmark", Path(plan["data"]).name]
    if plain:
        words += ["--methods", ",".join(plain)]
    if len(plain) < len(names):
        words += ["--study", _study([n for n in names if n not in plain])]
    words += ["--labelled", ",".join(budgets), "--seeds", ",".join(seeds)]
    if plan["preset"]:
        words += ["--preset", plan["preset"]]
    for setting in plan["settings"]:
        words += ["--set", setting]
    if plan.get("time") is not None:
        words += ["--time", f"{plan['time']:.0f}s"]
    words += ["--on", plan["on"]]
    if plan["protocol"]:
        words += ["--protocol", plan["protocol"]]
    return shlex.join([*words, "-o", bench.folder.resolve().name])


def _study(names: Sequence[str]) -> str:
    """The name of the built-in study with these variants, or a placeholder."""
    for study in presets.study_names():
        if set(names) <= set(map(str, presets.load_study(study)["variants"])):
            return study
    return "STUDY.yaml"
