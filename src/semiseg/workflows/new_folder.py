"""Folders that a verb writes into: they are new, or they hold what may be replaced."""

import shutil
import tempfile
from pathlib import Path

from semiseg.errors import UserError
from semiseg.files import is_partial

# one of them is in every run's folder, also in one whose beginning was interrupted
A_RUNS_FILES = {"config.yaml", "run.json", "error.txt"}


def check_new_folder(folder: Path, overwrite: bool, what: str) -> None:
    """Refuse to write over anything that is there; with ``overwrite`` only a run is replaced.

    Raises:
        UserError: where ``folder`` is a file, or holds something that may not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another {what}.")
    held = {p.name for p in folder.iterdir() if not is_partial(p)} if folder.exists() else set()
    if held and not held & A_RUNS_FILES:
        raise UserError(
            f"{folder} exists and is no run, so it is not replaced: choose another {what}."
        )
    if held and not overwrite:
        raise UserError(
            f"{folder} exists: continue with --resume, take --overwrite, or another {what}."
        )


def clear_folder(folder: Path) -> None:
    """Remove what ``folder`` holds; the folder stays, which may be a link."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def make_folder(folder: Path) -> None:
    """Make ``folder`` where it is not there, and try to write into it before anything slow begins.

    Raises:
        UserError: where that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): choose another -o."
        ) from None
