"""Temporary folders that the next process removes if a process was killed."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from semiseg.files import LOCK

PREFIX = "semiseg-inspect-"


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a temporary folder, locked while it is in use, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        lock = FileLock(folder / LOCK)
        lock.acquire()
        try:
            yield folder
        finally:
            lock.release()


def remove_stale() -> None:
    """Remove this user's temporary folders that no process has locked."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # other users may write into the same folder of temporary files
        with contextlib.suppress(OSError, Timeout, NotImplementedError):
            mine = folder.stat(follow_symlinks=False).st_uid == os.getuid()
            if mine and not folder.is_symlink() and (folder / LOCK).exists():
                with FileLock(folder / LOCK, blocking=False):
                    shutil.rmtree(folder, ignore_errors=True)
