"""Locks of output folders: one process at a time writes into a folder."""

import contextlib
import errno
import fcntl
import functools
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from filelock import FileLock, Timeout

from semiseg.errors import UserError
from semiseg.files import LOCK, PREFIX, read_text, remove_partials, unwritable

P = ParamSpec("P")
R = TypeVar("R")


def one_at_a_time(work: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function with a parameter ``out``: hold the lock of that folder while it runs.

    The lock is not taken if the function has a parameter ``dry_run`` that is true.

    Args:
        work: as in `locked`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs).arguments
            if given.get("dry_run"):
                return function(*args, **kwargs)
            with locked(Path(given["out"]), work):
                return function(*args, **kwargs)

        return call

    return decorate


@contextlib.contextmanager
def locked(folder: Path, work: str) -> Iterator[None]:
    """Lock ``folder`` and remove the temporary files that killed processes left in it.

    A missing folder is created, and removed again if nothing was written into it.

    Args:
        folder: the folder.
        work: what another process is doing if it holds the lock, such as 'training'.

    Raises:
        UserError: if another process holds the lock, or the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another folder with -o.")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = FileLock(folder / LOCK)
    try:
        other = _work_of(folder / LOCK)  # acquiring a lock empties its file
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
            (folder / LOCK).write_text(work, encoding="utf-8")
        except Timeout:
            raise UserError(
                f"Another process is {other or 'working'} in {folder}: wait for it, or use another -o."
            ) from None
        except NotImplementedError:
            pass  # a file system without locks
        except OSError as error:
            raise unwritable(folder, error) from None
        try:
            remove_partials(folder)
            yield
        finally:
            if lock.is_locked:
                (folder / LOCK).unlink(missing_ok=True)
            lock.release()
    finally:
        for path in missing:
            with contextlib.suppress(OSError):  # it contains something
                path.rmdir()


def remove_partials_below(folder: Path) -> None:
    """Remove the temporary files of killed processes in ``folder``, whose lock the caller holds, and below.

    Sub-folders that another process has locked are left out, since it may run on another machine. Links to
    folders are not followed.
    """
    for parent, folders, files in os.walk(folder):
        if Path(parent) != folder and LOCK in files and _is_held(Path(parent, LOCK)):
            folders[:] = []
        else:
            remove_partials(Path(parent))


def tidy(folder: Path) -> None:
    """Remove the temporary files of killed processes in a finished folder and below, if that is possible.

    The folder is not changed if it has none, if another process works in it, or if it is read-only.
    """
    if any(folder.rglob(f"{PREFIX}*")):
        with contextlib.suppress(UserError), locked(folder, "tidying"):
            remove_partials_below(folder)


def _is_held(lock: Path) -> bool:
    """Whether a process holds a lock. Trying it with `FileLock` would empty its file."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:  # a file system without locks has none to hold
        return error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
    return False


def _work_of(path: Path) -> str:
    """What the process that holds a lock is doing, as it has written; empty if that is unknown."""
    try:
        text = read_text(path)
    except (OSError, ValueError):
        return ""
    return text if text.isalpha() and len(text) < 30 else ""
