"""Atomic writing of files, and checks of their paths."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from semiseg.errors import UserError

PREFIX = ".partial-"
LOCK = ".lock"
_PARTIAL = re.compile(re.escape(PREFIX) + r"(\d+)-(.+)", re.DOTALL)


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
    with atomic_outputs([path]) as (partial,):
        yield partial


@contextlib.contextmanager
def atomic_outputs(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield one temporary file per path; they replace the files when all are written.

    Raises:
        UserError: if a file cannot be written. No file is then replaced.
    """
    current = paths[0]
    try:
        with contextlib.ExitStack() as stack:
            partials = []
            for current in paths:
                current.parent.mkdir(parents=True, exist_ok=True)
                partials.append(stack.enter_context(atomic_write(current)))
            yield partials
    except OSError as error:
        named = next((path for path in paths if path.name in str(error.filename)), current)
        raise unwritable(named, error) from None


def unwritable(path: Path, error: OSError) -> UserError:
    """The error for a ``path`` that cannot be written."""
    return UserError(
        f"{path} cannot be written ({error.strerror or error}): free space or choose another folder."
    )


def cannot_enter(error: OSError) -> NoReturn:
    """Raise the error for a folder whose content cannot be listed.

    Raises:
        UserError: always.
    """
    raise UserError(
        f"{error.filename} cannot be read ({error.strerror or error}): allow reading it, or move it "
        "out of the folder."
    ) from None


def walk_files(
    folder: Path,
    unreadable: Callable[[OSError], None] = cannot_enter,
    skip_outside: bool = False,
) -> Iterator[Path]:
    """Files below ``folder``, sorted, without hidden ones (macOS writes ``._NAME`` beside ``NAME``).

    A folder that does not exist has none. Links to files and to folders inside ``folder`` are followed;
    each folder is entered once. Pipes, sockets and devices are left out.

    Args:
        folder: the folder.
        unreadable: called for each folder that cannot be listed; default: raise the error.
        skip_outside: skip links to folders outside ``folder`` instead of raising the error.

    Raises:
        UserError: for a link to a folder outside ``folder``, which may contain anything.
    """
    if not Path(folder).exists():
        return
    source = Path(folder).resolve()
    entered: set[Path] = set()
    for root, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        real = Path(root).resolve()
        if real in entered:
            folders[:] = []
            continue
        entered.add(real)
        if not real.is_relative_to(source):
            if skip_outside or source.is_relative_to(real):  # the latter: a link to a parent folder
                folders[:] = []
                continue
            raise UserError(
                f"{root} is a link to {real}, outside of {folder}: link the files themselves, or "
                "move the folder there."
            )
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not (name.startswith(".") or is_special(Path(root, name))):
                yield Path(root, name)


def is_special(path: Path) -> bool:
    """Whether ``path`` exists and is neither a regular file nor a folder: a pipe, socket or device.

    Opening one may wait for ever, so only regular files are opened.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def read_text(path: Path) -> str:
    """The text (UTF-8) of a regular file.

    Raises:
        OSError: if it cannot be read, or is a pipe, socket or device.
        ValueError: if it is not UTF-8.
    """
    if is_special(path):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path.read_text(encoding="utf-8")


def check_file(path: Path, remedy: str = "check the path") -> None:
    """Check that ``path`` is a regular file, before it is opened.

    Raises:
        UserError: if it is missing, a folder, or a pipe, socket or device.
    """
    if path.is_file():
        return
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a file: {remedy}.")
    if is_special(path):
        raise UserError(
            f"{path} is a pipe, socket or device, not a regular file: remove it or name another file."
        )
    raise UserError(f"{path} does not exist: {remedy}.")


def is_file(name: str) -> bool:
    """Whether a word that a user typed is the path of a regular file."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # a very long name, or NUL
        return False


def is_partial(path: Path) -> bool:
    """Whether ``path`` is a lock, or a temporary file of a process that is writing or was killed."""
    return path.name == LOCK or path.name.startswith(PREFIX)


def remove_partials(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files of killed processes in ``folder``.

    Args:
        folder: the folder; its sub-folders are not searched.
        name: only the temporary files of the file ``name``.
    """
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            found = _PARTIAL.fullmatch(entry.name)
            if found is None or (name is not None and found[2] != name):
                continue
            if not entry.is_file(follow_symlinks=False):  # not written by `atomic_write`
                continue
            process = int(found[1]) if len(found[1]) < 10 else 0
            if (process == os.getpid() and name is None) or not _runs(process):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _runs(process: int) -> bool:
    """Whether a process with this number runs on this machine."""
    if process < 1:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def inside(folder: Path, name: str, origin: Path) -> Path:
    """The path of the file ``name`` in ``folder``; ``origin`` is the list or header that names it.

    Raises:
        UserError: if the path leads out of the folder: by ``..``, an absolute path or a link.
    """
    path = folder / name
    if not (name.strip() and is_inside(folder, path)):
        raise UserError(
            f"{origin} names '{name[:200]}', which is not in {folder}: copy the file there "
            "and give its path relative to that folder."
        )
    return path


def is_inside(folder: Path, path: Path) -> bool:
    """Whether ``path`` lies in ``folder``, with all links followed."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # NUL, a very long name, circular links
        return False


def check_links(folder: Path, remedy: str) -> None:
    """Check a folder before files in it are written or deleted.

    Raises:
        UserError: for a link below it that leads out of it (the message ends with ``remedy``), and for a
            pipe, socket or device, which a process may wait for.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink() and not is_inside(folder, path):
                raise UserError(f"{path} is a link that leads out of {folder}: {remedy}.")
            if is_special(path):
                check_file(path)
