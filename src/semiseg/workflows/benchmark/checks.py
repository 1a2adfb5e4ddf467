"""What a benchmark refuses, and what it points out, before anything is written."""

from collections.abc import Sequence

from semiseg import methods
from semiseg.config import parse_assignments
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.protocols import find_protocol
from semiseg.methods.base import Method
from semiseg.networks.build import without_pretrained
from semiseg.training.device import torch_device
from semiseg.training.plan import check_terms, plan_training
from semiseg.workflows.benchmark.plan import BenchmarkPlan, PlannedRun
from semiseg.workflows.benchmark.run import Execution


def check_runs(data: PreparedData, runs: Sequence[PlannedRun], execution: Execution) -> None:
    """Plan every training as `train` does, so that none is refused when others are finished.

    Raises:
        UserError: as `train` and `evaluate` would.
    """
    common, device = execution.common, torch_device(execution.device)
    if common.protocol is not None:
        find_protocol(common.protocol)
    if common.on == "test" and not data.of_patients(data.manifest.split.test, labelled=True):
        raise UserError(f"{data.folder} has no labelled test case: score with --on validation.")
    built: dict[str, Method] = {}  # seeds and budgets of a variant share their networks
    for run in runs:
        variant = run.variant
        plan = plan_training(
            data, variant.method, run.labelled, execution.labelled_seed(run), common.preset,
            run.settings(common), device, variant.sections,
        )  # fmt: skip
        if common.on == "validation" and not plan.cases.validation:
            raise UserError(
                f"{run.title}: {data.folder} has no labelled validation case to score on: "
                "take --on test where there is a test part, five labelled patients or more, or prepare "
                "the data with --split."
            )
        if variant.name not in built:
            config = without_pretrained(plan.config, "hub")  # a check fetches nothing
            built[variant.name] = methods.entry(variant.method).load()(data.task, config)
        check_terms(built[variant.name], plan.config, plan.cases)


def overruled(plan: BenchmarkPlan) -> list[str]:
    """Sentences on values of ``--set`` that a row of the study replaces by its own."""
    variants = {run.variant.name: run.variant for run in plan.runs}.values()
    lines = []
    for section, values in parse_assignments(plan.common.settings).items():
        for key in values:
            own = [v.name for v in variants if key in v.sections.get(section, {})]
            if own:
                rows = "', '".join(own)
                lines.append(f"{section}.{key} is as the study has it, not as --set, in '{rows}'")
    return lines
