"""Checks of output folders: they must be new, or contain something that may be replaced."""

import shutil
import tempfile
from pathlib import Path

from semiseg.errors import UserError
from semiseg.files import is_partial

# every run's folder contains one of these files, even if the run was interrupted at its start
RUN_FILES = {"config.yaml", "run.json", "error.txt"}


def check_new_folder(folder: Path, overwrite: bool, what: str) -> None:
    """Check that ``folder`` is new or empty, or, with ``overwrite``, a run that may be replaced.

    Raises:
        UserError: if ``folder`` is a file, or contains something that may not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another {what}.")
    held = {p.name for p in folder.iterdir() if not is_partial(p)} if folder.exists() else set()
    if held and not held & RUN_FILES:
        raise UserError(
            f"{folder} exists and is not a run, so it is not replaced: choose another {what}."
        )
    if held and not overwrite:
        raise UserError(
            f"{folder} exists: resume it with --resume, replace it with --overwrite, or choose another "
            f"{what}."
        )


def clear_folder(folder: Path) -> None:
    """Remove the contents of ``folder``, but not the folder itself, which may be a link."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def make_folder(folder: Path) -> None:
    """Create ``folder`` if it does not exist, and check that it is writable.

    Raises:
        UserError: if that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): choose another -o."
        ) from None
