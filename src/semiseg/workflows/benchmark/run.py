"""One run of a benchmark: train or resume it, then evaluate it."""

import dataclasses
import traceback
from collections.abc import Mapping
from pathlib import Path

from semiseg import methods
from semiseg.console import Console, Quiet
from semiseg.data.identity import changed_parts
from semiseg.data.manifest import PreparedData
from semiseg.errors import RunFailure, UserError
from semiseg.training.benchmark_file import evaluation_name
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.benchmark.given_files import check_unchanged, refuse_other_data
from semiseg.workflows.benchmark.plan import CommonSettings, PlannedRun


@dataclasses.dataclass(frozen=True)
class Execution:
    """How the runs of one call are executed.

    Attributes:
        common: the settings of all runs.
        ordered: whether the data have an order of labelled patients.
        threads: CPU threads of each run; None: torch's default.
        device: auto, cpu or cuda.
        files: the digests of the lists of patients and of the preset that are files.
        identity: the identity of the data.
    """

    common: CommonSettings
    ordered: bool
    threads: int | None
    device: str
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    identity: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def check_files(self, run: PlannedRun) -> None:
        """Check that the files that ``run`` reads have not changed since they were given.

        Raises:
            UserError: naming the first that has.
        """
        check_unchanged(self.files, (self.common.preset, run.labelled))

    def check_data(self) -> None:
        """Check that the data were not prepared again; raises `UserError` if they were."""
        if self.identity:
            changes = changed_parts(self.identity, PreparedData(self.common.data).identity)
            refuse_other_data(self.common.data, changes)

    def labelled_seed(self, run: PlannedRun) -> int | None:
        """None if the data have an order of labelled patients; else the run's seed."""
        return None if self.ordered else run.seed


def network_attributes(run: PlannedRun) -> tuple[str, ...]:
    """The networks of a started run, the one for inference first.

    They depend on the run's configuration: a method may train other networks on volumes.
    """
    method = methods.entry(run.variant.method).load()
    return method.network_attributes(RunFolder(run.folder).config())


def summary_file(run: PlannedRun, network: str, common: CommonSettings) -> Path:
    """The summary that `semiseg evaluate` writes for one network of a run."""
    name = evaluation_name(common.on, network, common.weights)
    return run.folder / name / "summary.json"


def is_done(run: PlannedRun, common: CommonSettings) -> bool:
    """Whether all networks of a run were evaluated."""
    return RunFolder(run.folder).exists() and all(
        summary_file(run, network, common).is_file() for network in network_attributes(run)
    )


def execute_run(
    run: PlannedRun, execution: Execution, console: Console | None = None
) -> str | None:
    """Train (or resume) and evaluate one run. Returns an error message, or None.

    The traceback of an unexpected error is written to the run's ``error.txt``.
    """
    console = console or Quiet()
    error_file = run.folder / "error.txt"
    try:
        _train(run, execution, console)
        _evaluate(run, execution, console)
    except (UserError, RunFailure) as error:
        return str(error)
    except Exception as error:
        run.folder.mkdir(parents=True, exist_ok=True)
        error_file.write_text(traceback.format_exc(), encoding="utf-8")
        return f"{type(error).__name__}: {error} (see {error_file})"
    error_file.unlink(missing_ok=True)  # from an earlier attempt
    return None


def _train(run: PlannedRun, execution: Execution, console: Console) -> None:
    from semiseg.workflows.train import resume, train  # lightning takes seconds to import

    common, device, threads = execution.common, execution.device, execution.threads
    if RunFolder(run.folder).exists():
        resume(run.folder, data=common.data, device=device, threads=threads, console=console)
        return
    execution.check_files(run)  # the runs before it may have taken days
    execution.check_data()
    train(
        common.data, run.folder, method=run.variant.method, labelled=run.labelled,
        labelled_seed=execution.labelled_seed(run), preset=common.preset,
        settings=run.settings(common), sections=run.variant.sections, device=device,
        threads=threads, seconds=common.seconds, overwrite=True, console=console,
    )  # fmt: skip


def _evaluate(run: PlannedRun, execution: Execution, console: Console) -> None:
    from semiseg.workflows.evaluate import evaluate

    common = execution.common
    for network in network_attributes(run):
        evaluate(
            run.folder, on=common.on, data=common.data, network=network, weights=common.weights,
            protocol=common.protocol, device=execution.device, threads=execution.threads,
            console=console, out=summary_file(run, network, common).parent,
        )  # fmt: skip
