"""Checks of a benchmark before anything is written."""

from collections.abc import Sequence

from semiseg import methods
from semiseg.config import parse_assignments
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.protocols import find_protocol
from semiseg.methods.base import Method
from semiseg.networks.build import downloads, without_pretrained
from semiseg.training.device import torch_device
from semiseg.training.initial_weights import load_initial_weights
from semiseg.training.plan import check_classes, check_terms, check_volumes, plan_training
from semiseg.training.run_folder import RunFolder
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


def check_runs(data: PreparedData, runs: Sequence[PlannedRun], execution: Execution) -> list[str]:
    """Check every training as `train` does, so that no run fails after others are finished.

    Returns:
        The addresses of weights that the trainings will download.

    Raises:
        UserError: see `train` and `evaluate`.
    """
    common, device = execution.common, torch_device(execution.device)
    if common.protocol is not None:
        find_protocol(common.protocol)
    if common.on == "test" and not data.of_patients(data.manifest.split.test, labelled=True):
        raise UserError(f"{data.folder} has no labelled test case: choose --on validation.")
    fetched: dict[str, None] = {}
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
    return list(fetched)


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
