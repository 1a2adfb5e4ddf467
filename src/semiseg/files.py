"""Files that are whole or not there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from semiseg.errors import UserError

PREFIX = ".partial-"


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its place once the block has ended well."""
    # the suffix stays the last: libraries choose the format by it
    partial = path.with_name(f"{PREFIX}{os.getpid()}-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """As `atomic_write`, making the folder where it is missing.

    Raises:
        UserError: where the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            yield partial
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> UserError:
    """What a person is told where ``path`` cannot be written."""
    return UserError(
        f"{path} cannot be written ({error.strerror or error}): free space or choose another folder."
    )


def is_partial(path: Path) -> bool:
    """Whether ``path`` was left by a process that died while writing."""
    return path.name.startswith(PREFIX)


def inside(folder: Path, name: str, origin: Path) -> Path:
    """The file ``name`` of ``folder``, as ``origin`` (a list, a header) names it.

    Raises:
        UserError: where it lies elsewhere: by ``..``, an absolute path or a link.
    """
    path = folder / name
    try:
        within = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # NUL, a name of absurd length, links in a circle
        within = False
    if not (name.strip() and within):
        raise UserError(
            f"{origin} names '{name[:200]}', which does not lie in {folder}: copy the file there "
            "and name it by its path in that folder."
        )
    return path
