"""The facts on a page about data, methods, settings and software."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.data.manifest import PreparedData
from semiseg.data.splits import counted
from semiseg.errors import UserError
from semiseg.reporting.captions import input_words
from semiseg.reporting.results import Benchmark
from semiseg.text import duration, joined
from semiseg.training.run_files import Finished, RunFacts
from semiseg.training.run_folder import RunFolder


def available_of(data: PreparedData | None) -> int:
    """The number of labelled training patients, which equals 100%; 100 if the data no longer exist."""
    if data is None:
        return 100
    return len({c.patient for c in data.of_patients(data.manifest.split.train, labelled=True)})


def labelled_words(budget: str, among: Sequence[str] = ()) -> str:
    """A budget in a sentence; a file is represented by its name.

    Folders are added to a name until no other file of ``among`` ends so.
    """
    if "/" not in budget:
        return budget
    parts = Path(budget).parts
    others = [Path(other).parts for other in among if "/" in other and other != budget]
    count = 1
    while count < len(parts) and any(other[-count:] == parts[-count:] for other in others):
        count += 1
    return "/".join(parts[-count:])


def is_phantom(name: str) -> bool:
    """Whether a task consists of generated images, whose results do not apply to patients."""
    return "phantom" in name.lower()


def benchmark_facts(bench: Benchmark) -> list[tuple[str, str]]:
    """The counts of each budget, then the facts common to all runs."""
    facts: list[tuple[str, str]] = []
    for budget in bench.budgets:
        run = RunFolder(bench.of(budget)[0].folder)
        split = run.split()
        own = len({RunFolder(s.folder).split().labelled for s in bench.of(budget)}) > 1
        for key, value in counts(
            bench.data, split.labelled, split.split.train, split.split.validation,
            split.validation_from_training,
        ):  # fmt: skip
            if own and key == "Labelled":
                value += f", chosen for each seed (here: seed {bench.of(budget)[0].row['seed']})"
            label = (
                f"{key} ({labelled_words(budget, bench.budgets)})"
                if len(bench.budgets) > 1
                else key
            )
            facts.append((label, value))
    rows = [s.row for s in bench.scored]
    seeds = sorted({row["seed"] for row in rows})
    steps = sorted({row["iterations"] for row in rows})
    facts.append(("Seeds", ", ".join(str(seed) for seed in seeds)))
    facts.append(
        (
            "Training",
            f"{' or '.join(f'{n:,}' for n in steps)} iterations, "
            f"input {input_words([row['size'] for row in rows])}",
        )
    )
    first = RunFolder(bench.scored[0].folder)
    facts += software(first.facts(), bench.data, first.task().name)
    return list(dict(facts).items())


def counts(
    data: PreparedData | None,
    labelled: Sequence[str],
    train: Sequence[str],
    validation: Sequence[str],
    held_out: bool,
) -> list[tuple[str, str]]:
    """The images of a run, counted with their units; only patients if the data no longer exist."""
    if data is None:
        return [
            ("Labelled", f"{len(labelled)} patients"),
            ("Unlabelled", "unknown: the prepared data no longer exist"),
        ]
    kind = data.task.kind
    ours = data.of_patients(tuple(labelled), labelled=True)
    names = {case.identifier for case in ours}
    others = [case for case in data.of_patients(tuple(train)) if case.identifier not in names]
    chose = data.of_patients(tuple(validation), labelled=True)
    return [
        ("Labelled", counted(ours, kind)),
        ("Unlabelled", counted(others, kind) if others else "none"),
        (
            "Checkpoint chosen on",
            (counted(chose, kind) + (", held out of the labelled ones" if held_out else ""))
            if chose
            else "no cases, since there were too few labelled patients: the last one is used",
        ),
    ]


def software(facts: RunFacts, data: PreparedData | None, name: str) -> list[tuple[str, str]]:
    """Data, split, notes of the preparation, device if known, and versions.

    Args:
        facts: the run's ``run.json``.
        data: None if they no longer exist.
        name: the task's name.
    """
    device = facts.device or ("CPU" if facts.torch.endswith("+cpu") else None)
    out = [("Data", f"{name}, {data.manifest.layout} layout" if data else name)]
    if data is not None:
        out.append(("Split", data.manifest.split.origin or "as prepared"))
        out += [("Note of the preparation", note) for note in data.manifest.notes]
    if device:
        out.append(("Device", device))
    out += [("Resumed", change) for change in facts.changes]
    git = f" ({facts.git})" if facts.git else ""
    out.append(
        (
            "Software",
            f"semiseg {facts.semiseg}{git}, PyTorch {facts.torch}, Python {facts.python}",
        )
    )
    return out


def trained(iterations: int, size: int | str, ended: Finished | None) -> str:
    """The iterations, the input size and the duration of a training, and which weights are used."""
    text = f"{iterations:,} iterations, input {input_words([size])}"
    if ended is None:
        return f"{text}; not finished yet"
    if ended.best_dice is None or ended.best_dice < 0:  # without a score
        used = "the weights of the last iteration are used"
    else:
        used = (
            f"the weights of iteration {ended.best_step:,} are used, the best on the validation cases "
            f"(Dice {ended.best_dice:.3f})"
        )
    return f"{text}, {duration(ended.seconds)}; {used}"


def methods_of(bench: Benchmark) -> list[dict[str, Any]]:
    """Name, summary and citation of every variant."""
    return described({run["variant"]["name"]: run["variant"]["method"] for run in bench.runs})


def described(variants: Mapping[str, str]) -> list[dict[str, Any]]:
    """Name, summary and citation of variants; only the name if a method is not installed."""
    known = methods.table()
    return [
        {
            "index": index,
            "name": variant,
            "method": name if name != variant else "",
            "summary": known[name].summary if name in known else "",
            "citation": known[name].citation if name in known else "",
        }
        for index, (variant, name) in enumerate(variants.items())
    ]


def settings_of(bench: Benchmark) -> list[tuple[str, str]]:
    """Title and complete configuration of every scored run."""
    out = {}
    for s in bench.scored:
        budget = labelled_words(s.row["labelled"], bench.budgets)
        title = f"{s.row['variant']}, {budget} labelled, seed {s.row['seed']}"
        took = "" if s.row["seconds"] is None else f" ({duration(s.row['seconds'])})"
        out[title + took] = config_text(s.folder)
    return list(out.items())


def config_text(folder: Path) -> str:
    """The text of a run's ``config.yaml``."""
    return (folder / "config.yaml").read_text(encoding="utf-8")


def budget_words(budgets: Sequence[str], noun: str) -> str:
    """``1 and 3 labelled patients``, ``10% and all of the labelled patients``."""
    shown = [labelled_words(budget, budgets) for budget in budgets]
    if all(budget.isdigit() for budget in budgets):
        return f"{joined(shown)} labelled {noun if shown != ['1'] else noun.removesuffix('s')}"
    return f"{joined(shown)} of the labelled {noun}"


def noun_of(data: PreparedData | None) -> str:
    """The noun for the units of a budget."""
    cases = [] if data is None else data.manifest.cases
    single = len({case.patient for case in cases}) == len(cases) > 0
    return "pictures" if data and data.task.kind == "pictures" and single else "patients"


def ignores_unlabelled(config: RunConfig) -> bool:
    """Whether a training uses only labelled images; False if its method is not installed."""
    try:
        return not methods.entry(config.method).load().reads_unlabelled(config)
    except (UserError, ImportError):
        return False
