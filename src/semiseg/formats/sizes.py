"""How large an array a file may announce, asked before memory is taken for it."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from semiseg.errors import UserError
from semiseg.text import times

DEFLATE = 1100  # no gzip or HDF5 chunk holds more than 1,032 bytes a byte
HEADERS = 2**20  # what a small file may hold beyond that


def check_announced(
    path: Path,
    shape: Sequence[int],
    itemsize: int,
    *,
    compressed: bool,
    working: int = 0,
    others: Sequence[Path] = (),
) -> None:
    """Refuse an array that its file cannot hold, or that memory cannot.

    Args:
        path: the file.
        shape: as its header says.
        itemsize: bytes a value in the file.
        compressed: whether the file may be smaller than the array.
        working: bytes a value that reading takes in addition.
        others: files that hold the values where ``path`` holds the header alone.

    Raises:
        UserError: for sizes below 0, more values than the file holds, or too many for this machine.
    """
    sizes = [int(size) for size in shape]
    count = math.prod(sizes)
    if min(sizes, default=1) < 0 or itemsize < 0:
        raise _absurd(path, sizes)
    announced = count * itemsize
    length = sum(file.stat().st_size for file in (path, *others) if file.is_file())
    if announced > (length * DEFLATE + HEADERS if compressed else length):
        raise _absurd(path, sizes)
    needed, free = count * (itemsize + working), free_memory()
    if free is not None and needed > free:
        raise UserError(
            f"{path} needs {needed / 1e9:,.1f} GB of memory ({times(tuple(sizes))} values) and "
            f"{free / 1e9:,.1f} GB are free: crop it, or use a larger machine."
        )


def free_memory() -> int | None:
    """Bytes that this process may still take, as far as the system tells."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _absurd(path: Path, sizes: Sequence[int]) -> UserError:
    return UserError(
        f"{path} announces {times(tuple(sizes))} values, which a file of "
        f"{path.stat().st_size:,} bytes cannot hold (truncated or damaged): copy it again or leave it out."
    )
