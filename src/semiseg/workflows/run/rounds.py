"""Rounds of one output folder: what has changed, what is kept, and which weights trainings start from."""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from semiseg.errors import UserError
from semiseg.files import unwritable
from semiseg.text import one_line
from semiseg.training.run_folder import RunFolder
from semiseg.training.run_output import MOVED, Round, RunOutput

PARTIAL = ".partial-round"


def begin_round(output: RunOutput, changes: list[str]) -> Round:
    """Move the results of the present round to ``rounds/N`` and begin the next one.

    An interrupted move is completed. If the present round has not begun to train, it continues with the
    added changes.

    Raises:
        UserError: if a folder cannot be written.
    """
    present, number = output.round(), len(output.past()) + 1
    partial = output.rounds / PARTIAL
    if not (output.started() or partial.exists()):
        merged = tuple(dict.fromkeys((*present.changes, *changes)))
        following = Round(number=number, changes=merged if number > 1 else ())
        output.write_round(following)
        return following
    following = Round(number=number + 1, changes=tuple(changes))
    try:
        partial.mkdir(parents=True, exist_ok=True)
        for name in MOVED[:-1]:
            if (output.folder / name).exists():
                os.replace(output.folder / name, partial / name)
        if (output.folder / MOVED[-1]).exists():
            shutil.copyfile(output.folder / MOVED[-1], partial / MOVED[-1])
        os.replace(partial, output.rounds / str(number))
    except OSError as error:
        raise unwritable(output.rounds, error) from None
    output.write_round(following)
    return following


def interrupted(output: RunOutput) -> bool:
    """Whether `begin_round` was interrupted."""
    return (output.rounds / PARTIAL).exists()


def earlier_run(
    output: RunOutput,
    present: Collection[str],
    scored: Collection[str],
    choosing: Collection[str] = (),
) -> RunFolder | None:
    """A run of the last round that was not trained on held-out patients; None if there is none.

    The weights of a run also depend on the labels that the runs before it have read.

    Args:
        output: the output folder.
        present: all patients of the data. A run that read labels of others is not used: their images may
            belong to a patient with another name now.
        scored: patients on whom it was not trained, and who did not choose its checkpoint.
        choosing: patients that choose the checkpoint. It was not trained on them, but they may have chosen
            its checkpoint too.
    """
    past = output.past()
    for run in past[-1].runs() if past else []:
        read = labels_read(run)
        if read is None:
            continue
        trained, chose = read
        if not trained | chose <= set(present):
            continue
        if not (trained | chose) & set(scored) and not trained & set(choosing):
            return run
    return None


def labels_read(run: RunFolder) -> tuple[set[str], set[str]] | None:
    """The patients on whose labels a run and those before it were trained, and those that chose a checkpoint.

    None if that is unknown.
    """
    trained: set[str] = set()
    chose: set[str] = set()
    for _ in range(1000):  # a chain of runs has an end unless its files were edited
        try:
            split, start = run.split(), run.config().training.weights_from
        except (UserError, ValueError):
            return None
        trained |= set(split.labelled)
        chose |= set(split.split.validation)
        if start is None:
            return trained, chose
        run = RunFolder(start)
    return None


def relative(output: RunOutput, run: RunFolder | None) -> str | None:
    """The name of an earlier run in ``round.json``."""
    return None if run is None else str(run.folder.relative_to(output.folder))


def start_setting(output: RunOutput, name: str | None) -> list[str]:
    """The setting that starts a training from an earlier run."""
    if name is None:
        return []
    return [f"training.weights_from={_quoted(str((output.folder / name).resolve()))}"]


def _quoted(path: str) -> str:
    """A path as a YAML string, since a folder may be called ``1`` or contain ``: ``."""
    return "'" + path.replace("'", "''") + "'"


def with_note(planned: Round, *notes: str) -> Round:
    """Add sentences for the page."""
    added = tuple(one_line(note) for note in notes if note)
    return planned.model_copy(update={"notes": tuple(dict.fromkeys((*planned.notes, *added)))})


def path_of(output: RunOutput, name: str | None) -> Path | None:
    """The folder of a run named in ``round.json``."""
    return None if name is None else output.folder / name
