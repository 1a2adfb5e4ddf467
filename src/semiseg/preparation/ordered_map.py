"""Several cases at a time, results in order.

Threads rather than processes: decoding, decompressing and most of numpy release the interpreter's lock, and
threads need no start and nothing that can be pickled, and stop cleanly. Processes may be faster, above all
for pictures: docs/architecture.md has what was measured, on a machine too busy to tell how much.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 8  # cases at a time: each is a volume in memory
TINY = 8  # cases that are not worth threads
AHEAD = 16  # results, a thread, that may wait for a slow case before them


def default_jobs(cases: int) -> int:
    """The number of cores up to 8, and 1 for a tiny set."""
    if cases <= TINY:
        return 1
    affinity = getattr(os, "sched_getaffinity", None)  # what a scheduler allows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, MOST)


def ordered_map(work: Callable[[T], R], items: Iterable[T], jobs: int) -> Generator[R, None, None]:
    """``map(work, items)`` by ``jobs`` threads.

    The first error in the order of the items is raised, whichever thread met one first; then, and where
    the caller goes away, what has begun is finished and nothing more begun.
    """
    if jobs == 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="prepare")
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            while waiting and (len(waiting) >= AHEAD * jobs or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
