"""The folder that ``semiseg run`` writes.

::

    OUT/run.json              the arguments
    OUT/round.json            the current round: what changed, how it is scored, what trains
    OUT/data/                 the prepared data
    OUT/inspection/           their inspection: page.html, inspect.json, cases.csv
    OUT/cross-validation/     fold-1/, fold-2/, ... (runs), and their scores together
    OUT/training/             the run of the final network
    OUT/earlier/              scores of the earlier round's networks on the cases of this round
    OUT/masks/, report.html   the results
    OUT/rounds/1/, 2/, ...    the same of the earlier rounds, without data and inspection
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from semiseg.files import atomic_output, inside
from semiseg.stored import read_stored
from semiseg.training.run_folder import RunFolder

ROUND = "round.json"
MOVED = ("training", "cross-validation", "earlier", "masks", "report.html", ROUND)
"""What a round consists of."""

Scheme = Literal["held-out", "cross-validation", "none"]


class Round(BaseModel):
    """One round of labelling and training.

    Attributes:
        number: from 1.
        changes: sentences on what has changed in the source since the round before.
        scheme: how the network is scored; None: not planned yet.
        labelled: number of labelled patients that train or are scored.
        folds: patients of each fold of the cross-validation.
        starts: the runs whose weights the trainings start from, for each fold and for the final network
            (relative to the output folder); None: random weights.
        references: the earlier runs that are scored beside this round's, for each fold, or one for the
            held-out patients; None: no earlier network is free of their labels.
        method, settings: of all trainings.
        step: measured seconds of one step, if the time is limited.
        prediction: measured seconds of the prediction of a prepared case.
        share: seconds of each training.
        reserve: seconds kept for scores, masks and the page.
        notes: sentences for the page.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: Annotated[int, Field(ge=1, le=10**6)] = 1
    changes: tuple[str, ...] = ()
    scheme: Scheme | None = None
    labelled: int = 0
    folds: tuple[tuple[str, ...], ...] = ()
    starts: tuple[str | None, ...] = ()
    references: tuple[str | None, ...] = ()
    method: str | None = None
    settings: tuple[str, ...] = ()
    step: float | None = None
    prediction: float = 0.0
    share: float | None = None
    reserve: float = 0.0
    notes: tuple[str, ...] = ()


class RunOutput:
    """The paths of the folder, or of one of its earlier rounds."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.inspection = self.folder / "inspection"
        self.training = RunFolder(self.folder / "training")
        self.cross_validation = self.folder / "cross-validation"
        self.earlier = self.folder / "earlier"
        self.masks = self.folder / "masks"
        self.page = self.folder / "report.html"
        self.rounds = self.folder / "rounds"

    def exists(self) -> bool:
        """Whether ``semiseg run`` has planned a round here."""
        return (self.folder / ROUND).is_file()

    def fold(self, index: int) -> RunFolder:
        """The run of a fold, from 0."""
        return RunFolder(self.cross_validation / f"fold-{index + 1}")

    def started(self) -> bool:
        """Whether the current round has begun to train."""
        return self.training.exists() or self.fold(0).exists()

    def round(self) -> Round:
        """The current round; the first one if nothing is stored.

        Raises:
            UserError: if ``round.json`` is damaged, or names a run outside of the folder.
        """
        path = self.folder / ROUND
        if not path.exists():
            return Round()
        found = read_stored(path, Round, "restore it, or choose another folder with -o")
        for name in (*found.starts, *found.references):
            if name is not None:
                inside(self.folder, name, path)
        return found

    def write_round(self, content: Round) -> None:
        """Store the current round."""
        with atomic_output(self.folder / ROUND) as partial:
            text = json.dumps(content.model_dump(mode="json"), indent=1, ensure_ascii=False)
            partial.write_text(text + "\n", encoding="utf-8")

    def past(self) -> list["RunOutput"]:
        """The earlier rounds, the first one first."""
        found = [p for p in self.rounds.glob("*") if p.name.isdigit()]
        return [RunOutput(path) for path in sorted(found, key=lambda p: int(p.name))]

    def runs(self) -> list[RunFolder]:
        """The trainings of this round that have weights: the final one, then the folds."""
        folds = sorted(self.cross_validation.glob("fold-*"), key=lambda p: (len(p.name), p.name))
        runs = [self.training, *map(RunFolder, folds)]
        return [run for run in runs if (run.weights / "best.safetensors").is_file()]


def is_run(folder: Path | str) -> bool:
    """Whether ``folder`` is a run, or the output of ``semiseg run``.

    A ``config.yaml`` alone does not decide, since a folder of images may contain one.
    """
    run = RunFolder(find_run(folder))
    others = (run.folder / name for name in ("run.json", "task.json", "split.json", "weights"))
    return run.exists() and any(path.exists() for path in others)


def find_run(folder: Path | str) -> Path:
    """The run in ``folder``: the folder itself, or the final training of ``semiseg run``."""
    folder = Path(folder)
    inner = RunFolder(folder / "training")
    return inner.folder if not RunFolder(folder).exists() and inner.exists() else folder
