"""Detection of changes in the source files of a case.

A file with the same size and modification time is unchanged. If only the time differs (after copying,
unpacking or touching), the digests are compared, which is still much faster than preparing the case.
"""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from semiseg.errors import UserError
from semiseg.files import is_special


class SourceFile(BaseModel):
    """The state of a file when it was read; ``path`` is its name of `SourceCase.stored_names`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    size: int
    mtime_ns: int
    digest: str


def stamp(files: Sequence[Path], names: Sequence[str]) -> tuple[SourceFile, ...]:
    """The current state of files, with the names to store.

    Raises:
        UserError: for a file that is missing or cannot be read.
    """
    return tuple(_stamp(path, name) for path, name in zip(files, names, strict=True))


def unchanged(stamps: Sequence[SourceFile], files: Sequence[Path], names: Sequence[str]) -> bool:
    """Whether ``files`` have the stored names and the same content as in ``stamps``."""
    if [known.path for known in stamps] != list(names):
        return False
    return all(_same(known, path) for known, path in zip(stamps, files, strict=True))


def _same(known: SourceFile, path: Path) -> bool:
    try:
        status = path.stat()
        if is_special(path):
            return False
        if status.st_size != known.size:
            return False
        if status.st_mtime_ns == known.mtime_ns:
            return True
        return _digest(path, status.st_size, status.st_mtime_ns) == known.digest
    except OSError:
        return False


def _stamp(path: Path, name: str) -> SourceFile:
    if is_special(path):
        raise UserError(f"{name} is a pipe, socket or device, not a regular file: leave it out.")
    try:
        status = path.stat()  # before reading, so that a change during reading is detected later
        digest = _digest(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UserError(
            f"{name} cannot be read ({error.strerror or error}): copy it again or leave it out."
        ) from None
    return SourceFile(path=name, size=status.st_size, mtime_ns=status.st_mtime_ns, digest=digest)


@functools.lru_cache(maxsize=256)  # a 4D file may contain many cases
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
