"""Checks of the announced size of an array before memory is allocated."""

import math
from collections.abc import Sequence
from pathlib import Path

from semiseg.errors import UserError
from semiseg.formats.memory import free_memory
from semiseg.text import times

DEFLATE = 1100  # above the largest ratio of gzip and HDF5 chunks, 1,032
HEADERS = 2**20  # bytes that a small file may have beyond that ratio


def check_announced(
    path: Path,
    shape: Sequence[int],
    itemsize: int,
    *,
    compressed: bool,
    working: int = 0,
    others: Sequence[Path] = (),
) -> None:
    """Check that an array is not too large for its file or for the free memory.

    Args:
        path: the file.
        shape: shape in the header.
        itemsize: bytes per value in the file.
        compressed: whether the file may be smaller than the array.
        working: additional bytes per value that reading needs.
        others: files of the values if ``path`` is only a header.

    Raises:
        UserError: for negative sizes, or more values than the file or the memory can hold.
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
            f"{path} needs {needed / 1e9:,.1f} GB of memory ({times(tuple(sizes))} values) but only "
            f"{free / 1e9:,.1f} GB are free: crop it, or use a larger machine."
        )


def _absurd(path: Path, sizes: Sequence[int]) -> UserError:
    return UserError(
        f"{path} announces {times(tuple(sizes))} values, which a file of "
        f"{path.stat().st_size:,} bytes cannot hold (truncated or damaged): copy it again or leave it out."
    )
