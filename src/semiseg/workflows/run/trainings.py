"""The trainings of a round: the folds of a cross-validation, and the final network."""

from collections.abc import Iterator
from contextlib import contextmanager

from semiseg.console import Bar, Console
from semiseg.data.manifest import PreparedData, Split
from semiseg.errors import UserError
from semiseg.text import joined
from semiseg.training.patients import choose_patients
from semiseg.training.run_folder import RunFolder, RunSplit
from semiseg.training.run_output import Round, RunOutput
from semiseg.training.session import TrainResult
from semiseg.training.time_limit import TimeLimit
from semiseg.workflows.run.request import RunRequest
from semiseg.workflows.run.rounds import start_setting
from semiseg.workflows.train import resume, train


class Brief(Console):
    """Shows progress and warnings of a training, but not its configuration."""

    def __init__(self, console: Console) -> None:
        """Args: console: prints them."""
        self.console = console

    def info(self, text: str = "") -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.console.warn(text)

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0) -> Iterator[Bar]:
        """A bar of the console."""
        with self.console.bar(label, total, done) as bar:
            yield bar


def final_split(data: PreparedData, request: RunRequest, folds: bool) -> RunSplit:
    """The patients of the final training: with a cross-validation, all of them train."""
    if not folds:
        return choose_patients(data, request.labelled, None)
    split = data.manifest.split
    patients = _train_patients(data, request)
    return RunSplit(split=Split(train=split.train, origin=split.origin), labelled=patients,
                    budget=request.labelled)  # fmt: skip


def _train_patients(data: PreparedData, request: RunRequest) -> tuple[str, ...]:
    """The labelled patients, without a part for the choice of a checkpoint."""
    chosen = choose_patients(data, request.labelled, None)
    held = chosen.split.validation if chosen.validation_from_training else ()
    return (*chosen.labelled, *held)


def fold_split(data: PreparedData, request: RunRequest, fold: tuple[str, ...]) -> RunSplit:
    """The patients of one fold's training. Those of the fold do not train, also not as unlabelled.

    Neither do unlabelled patients who belong to them, by nearly identical images or by their names.
    """
    split, labels = data.manifest.split, set(_train_patients(data, request))
    near = {p for group in data.manifest.groups if set(group).intersection(fold) for p in group}
    held = {*fold, *(near - labels)}
    return RunSplit(
        split=Split(
            train=tuple(p for p in split.train if p not in held), test=fold,
            origin=f"cross-validation; held out: {joined(fold)}",
        ),
        labelled=tuple(p for p in _train_patients(data, request) if p not in held),
        budget=request.labelled,
    )  # fmt: skip


def train_one(
    run: RunFolder,
    data: PreparedData,
    output: RunOutput,
    request: RunRequest,
    planned: Round,
    split: RunSplit,
    start: str | None,
    share: float | None,
    console: Console,
) -> TrainResult:
    """Train or resume one network of a round.

    Args:
        run: its folder.
        data: the prepared data.
        output: the output folder.
        request: the arguments of this call.
        planned: the round.
        split: the patients.
        start: the earlier run whose weights it starts from; None: random weights.
        share: seconds; None: the configured iterations.
        console: prints messages and progress.
    """
    if run.exists():
        return resume(
            run.folder, data=data.folder, device=request.device, threads=request.threads, console=console,
        )  # fmt: skip
    limit = None
    if share is not None and planned.step is not None:
        cases = len(data.of_patients(split.split.validation, labelled=True))
        limit = TimeLimit(share, planned.step, cases * planned.prediction, cases)
    own = any(word.startswith("training.weights_from") for word in planned.settings)

    def attempt(first: list[str]) -> TrainResult | None:
        return train(
            data.folder, run.folder, method=planned.method, labelled=request.labelled,
            preset=request.preset, settings=[*first, *planned.settings], split=split, seconds=limit,
            device=request.device, threads=request.threads, overwrite=run.folder.exists(), console=console,
        )  # fmt: skip

    try:
        result = attempt([] if own else start_setting(output, start))
    except UserError as error:
        if start is None or own or not str(error).startswith("training.weights_from"):
            raise
        console.warn(f"the earlier weights do not fit, so it starts from random ones: {error}")
        result = attempt([])
    assert result is not None  # it is not a dry run
    return result
