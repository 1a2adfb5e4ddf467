"""Checks of output folders: they must be new, or contain something that may be replaced."""

import contextlib
import json
import tempfile
from pathlib import Path

from semiseg.errors import UserError
from semiseg.files import LOCK, is_partial, read_text, remove_partials
from semiseg.training.run_files import PATTERNS
from semiseg.yaml_text import parse_yaml


def check_new_folder(folder: Path, overwrite: bool, what: str) -> None:
    """Check that ``folder`` is new or empty, or, with ``overwrite``, a run that may be replaced.

    Raises:
        UserError: if ``folder`` is a file, or contains something that may not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another {what}.")
    held = {p.name for p in folder.iterdir() if not is_partial(p)} if folder.exists() else set()
    if held and not _is_of_a_run(folder):
        raise UserError(
            f"{folder} exists and is not a run, so it is not replaced: choose another {what}."
        )
    if held and not overwrite:
        raise UserError(
            f"{folder} exists: resume it with --resume, replace it with --overwrite, or choose another "
            f"{what}."
        )


def _is_of_a_run(folder: Path) -> bool:
    """Whether the content of ``folder`` proves that a training wrote it, even an interrupted one.

    Other programs also write files with these names.
    """
    with contextlib.suppress(OSError, ValueError):
        content = parse_yaml(read_text(folder / "config.yaml"))
        if isinstance(content, dict) and {"format", "method", "data", "training"} <= content.keys():
            return True
    with contextlib.suppress(OSError, ValueError, RecursionError):
        content = json.loads(read_text(folder / "run.json"))
        if isinstance(content, dict) and {"semiseg", "data", "origins"} <= content.keys():
            return True
    with contextlib.suppress(OSError, ValueError):  # of a benchmark's run that failed at its start
        only = {path.name for path in folder.iterdir() if not is_partial(path)} == {"error.txt"}
        return only and read_text(folder / "error.txt").startswith("Traceback")
    return False


def clear_run(folder: Path) -> list[str]:
    """Remove the files of a run from ``folder``, whose lock the caller holds.

    Returns:
        The names of what remains in it, because semiseg did not write it.
    """
    for pattern in PATTERNS:
        for path in folder.glob(pattern):
            path.unlink()
    for place in ("weights", "checkpoints", "tensorboard", "evaluation/*", "evaluation"):
        for inner in folder.glob(place):
            if inner.is_dir():
                remove_partials(inner)
                (inner / LOCK).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # it contains something else
                    inner.rmdir()
    return sorted(path.name for path in folder.iterdir() if not is_partial(path))


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
