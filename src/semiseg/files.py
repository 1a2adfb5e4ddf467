"""Files that are whole or not there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from semiseg.errors import UserError

PREFIX = ".partial-"


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
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
def replacing(path: Path) -> Iterator[Path]:
    """As `whole`, making the folder where it is missing.

    Raises:
        UserError: where the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
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
