"""The files that a case was made of, to notice when one has changed.

Size and time of change decide at once where both are as they were. A file of the same size with another
time (copied, unpacked again, touched) is read and its digest compared: slower than trusting the size, but
right, and still much faster than preparing it.
"""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from semiseg.errors import UserError


class SourceFile(BaseModel):
    """One file as it was when it was read; ``path`` as `SourceCase.stored_names` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    size: int
    mtime_ns: int
    digest: str


def stamp(files: Sequence[Path], names: Sequence[str]) -> tuple[SourceFile, ...]:
    """The files as they are now, by the names that are kept of them.

    Raises:
        UserError: for a file that is missing or cannot be read.
    """
    return tuple(_stamp(path, name) for path, name in zip(files, names, strict=True))


def unchanged(stamps: Sequence[SourceFile], files: Sequence[Path], names: Sequence[str]) -> bool:
    """Whether ``files`` are those that were stamped, with the same content."""
    if [known.path for known in stamps] != list(names):
        return False
    return all(_same(known, path) for known, path in zip(stamps, files, strict=True))


def _same(known: SourceFile, path: Path) -> bool:
    try:
        status = path.stat()
        if status.st_size != known.size:
            return False
        if status.st_mtime_ns == known.mtime_ns:
            return True
        return _digest(path, status.st_size, status.st_mtime_ns) == known.digest
    except OSError:
        return False


def _stamp(path: Path, name: str) -> SourceFile:
    try:
        status = path.stat()  # before reading: a change meanwhile is noticed the next time
        digest = _digest(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UserError(
            f"{name} cannot be read ({error.strerror or error}): copy it again or leave it out."
        ) from None
    return SourceFile(path=name, size=status.st_size, mtime_ns=status.st_mtime_ns, digest=digest)


@functools.lru_cache(maxsize=256)  # one series may hold the images of many cases
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
