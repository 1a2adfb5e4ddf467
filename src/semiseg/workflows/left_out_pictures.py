"""Pictures that are left out because the memory does not suffice for their case."""

import contextlib
from collections.abc import Iterator

from semiseg.console import Console
from semiseg.errors import reason_to_skip


@contextlib.contextmanager
def picture_of(case: str, console: Console) -> Iterator[None]:
    """Leave out the picture of ``case``, with a warning, if the memory does not suffice for it."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        console.warn(f"picture left out: {reason_to_skip(error, case, 'predict it')}")
