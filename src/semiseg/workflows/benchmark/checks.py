"""Checks of a benchmark before anything is written."""

import dataclasses
from collections.abc import Sequence

from semiseg import methods
from semiseg.config import as_assignments, parse_assignments
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.protocols import find_protocol
from semiseg.methods.base import Method
from semiseg.networks.build import downloads, without_pretrained
from semiseg.training.device import torch_device
from semiseg.training.initial_weights import load_initial_weights
from semiseg.training.plan import Plan, check_classes, check_terms, check_volumes, plan_training
from semiseg.training.run_folder import RunFolder
from semiseg.training.without_effect import without_effect
from semiseg.workflows.benchmark.given_files import refuse_other_data
from semiseg.workflows.benchmark.plan import BenchmarkPlan, PlannedRun
from semiseg.workflows.benchmark.run import Execution
from semiseg.workflows.loading import changes_since


def check_data(plan: BenchmarkPlan, data: PreparedData) -> None:
    """Check that the runs that were begun have the data that the others will have.

    Raises:
        UserError: if the data were prepared again since; the message says what changed.
    """
    for run in plan.runs:
        folder = RunFolder(run.folder)
        if folder.exists():
            refuse_other_data(plan.common.data, changes_since(folder, data))


@dataclasses.dataclass(frozen=True)
class Checked:
    """What was found of trainings that can be run.

    Attributes:
        fetched: the addresses of weights that they will download.
        ineffective: one sentence for each setting of the user that has no effect in any of them.
    """

    fetched: tuple[str, ...]
    ineffective: tuple[str, ...]


def check_runs(data: PreparedData, runs: Sequence[PlannedRun], execution: Execution) -> Checked:
    """Check every training as `train` does, so that no run fails after others are finished.

    Raises:
        UserError: see `train` and `evaluate`.
    """
    common, device = execution.common, torch_device(execution.device)
    if common.protocol is not None:
        find_protocol(common.protocol)
    if common.on == "test" and not data.of_patients(data.manifest.split.test, labelled=True):
        raise UserError(f"{data.folder} has no labelled test case: choose --on validation.")
    fetched: dict[str, None] = {}
    sentences: dict[str, list[str | None]] = {}
    built: dict[str, Method] = {}  # all seeds and budgets of a variant have the same networks
    for run in runs:
        variant = run.variant
        execution.check_files(run)
        plan = plan_training(
            data, variant.method, run.labelled, execution.labelled_seed(run), common.preset,
            run.settings(common), device, variant.sections,
        )  # fmt: skip
        if common.on == "validation" and not plan.cases.validation:
            raise UserError(
                f"{run.title}: {data.folder} has no labelled validation case to score: choose --on test, "
                "use five labelled patients or more, or prepare the data with --split."
            )
        if variant.name not in built:
            config = without_pretrained(plan.config, "hub")  # no downloads in a check
            method = methods.entry(variant.method).load()(data.task, config)
            if config.training.weights_from is not None:
                load_initial_weights(method, config.training.weights_from)
            built[variant.name] = method
        check_volumes(plan.data, plan.cases, plan.config)
        check_classes(plan.data, plan.cases)
        check_terms(built[variant.name], plan.config, plan.cases)
        fetched |= dict.fromkeys(downloads(plan.config))
        for option, sentence in _effects(plan, run.settings(common)).items():
            sentences.setdefault(option, []).append(sentence)
        for option, sentence in _effects(plan, as_assignments(variant.sections)).items():
            sentences.setdefault(f"{variant.name}: {option}", []).append(sentence)
    ineffective = [f"{key} {found[0]}" for key, found in sentences.items() if all(found)]
    return Checked(tuple(fetched), tuple(ineffective))


def _effects(plan: Plan, settings: Sequence[str]) -> dict[str, str | None]:
    """For each setting, the end of a sentence that says why it has no effect in a training; else None."""
    unused = without_effect(plan.resolved, bool(plan.cases.validation))
    found: dict[str, str | None] = {}
    for section, values in parse_assignments(settings).items():
        for key in values:
            option = f"{section}.{key}"
            other = section in methods.table() and section != plan.config.method
            foreign = other and option not in plan.resolved.origins
            found[option] = unused.get(option) or (
                f"has no effect: no row of the benchmark is {section}" if foreign else None
            )
    return found


def overruled(plan: BenchmarkPlan) -> list[str]:
    """One sentence for each setting of ``--set`` that a variant of the study overrides."""
    variants = {run.variant.name: run.variant for run in plan.runs}.values()
    lines = []
    for section, values in parse_assignments(plan.common.settings).items():
        for key in values:
            own = [v.name for v in variants if key in v.sections.get(section, {})]
            if own:
                rows = "', '".join(own)
                lines.append(f"{section}.{key}: the study overrides --set in '{rows}'")
    return lines
