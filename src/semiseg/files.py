"""Atomic writing of files, and checks of their paths."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from semiseg.errors import UserError

PREFIX = ".partial-"


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that replaces it if the block succeeds."""
    # keep the suffix last: libraries choose the format by it
    partial = path.with_name(f"{PREFIX}{os.getpid()}-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """Like `atomic_write`, but create the folder if it is missing.

    Raises:
        UserError: if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            yield partial
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> UserError:
    """The error for a ``path`` that cannot be written."""
    return UserError(
        f"{path} cannot be written ({error.strerror or error}): free space or choose another folder."
    )


def is_partial(path: Path) -> bool:
    """Whether ``path`` is a temporary file of a process that was killed while writing."""
    return path.name.startswith(PREFIX)


def inside(folder: Path, name: str, origin: Path) -> Path:
    """The path of the file ``name`` in ``folder``; ``origin`` is the list or header that names it.

    Raises:
        UserError: if the path leads out of the folder: by ``..``, an absolute path or a link.
    """
    path = folder / name
    try:
        within = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # NUL, a very long name, circular links
        within = False
    if not (name.strip() and within):
        raise UserError(
            f"{origin} names '{name[:200]}', which is not in {folder}: copy the file there "
            "and give its path relative to that folder."
        )
    return path
