"""The environment variables of a launcher of several processes, such as torchrun.

They count together or not at all: a job's scheduler, a container or an earlier shell may leave some of
them behind.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator

from semiseg.errors import UserError

NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
NAMES = (*NUMBERS, "MASTER_ADDR")
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""The variables from which Lightning takes a process's rank when it is imported."""
START = "start the processes with torchrun, or unset these variables"


@dataclasses.dataclass(frozen=True)
class Launch:
    """The place of this process in its group; a single process by default."""

    rank: int = 0
    processes: int = 1
    local_processes: int = 1


def launched() -> Launch:
    """The place of this process in a group that a launcher started.

    Raises:
        UserError: if all variables are set and a value is not possible.
    """
    given = {name: os.environ.get(name, "").strip() for name in NAMES}
    if not all(given.values()):
        return Launch()
    for name in NUMBERS:
        if not (given[name].isascii() and given[name].isdigit() and len(given[name]) < 8):
            raise UserError(
                f"The environment variable {name} is '{given[name][:60]}', not a number: {START}."
            )
    numbers = {name: int(given[name]) for name in NUMBERS}
    rank, processes, port = numbers["RANK"], numbers["WORLD_SIZE"], numbers["MASTER_PORT"]
    local, here = numbers["LOCAL_RANK"], numbers["LOCAL_WORLD_SIZE"]
    if not (rank < processes and local < here <= processes and processes % here == 0):
        raise UserError(
            f"The environment variables RANK={rank}, WORLD_SIZE={processes}, LOCAL_RANK={local} and "
            f"LOCAL_WORLD_SIZE={here} contradict each other: {START}."
        )
    if not 0 < port < 65536:
        raise UserError(f"The environment variable MASTER_PORT={port} is not a port: {START}.")
    return Launch(rank, processes, here)


@contextlib.contextmanager
def without_ranks() -> Iterator[None]:
    """Hide ranks that a launcher did not set for this process, while Lightning is imported."""
    held = {name: os.environ.pop(name) for name in RANKS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(held)
