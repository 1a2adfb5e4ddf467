"""Parallel map over cases with results in order.

Threads are used instead of processes, because decoding, decompression and most of NumPy release the
GIL, and threads start fast, need no pickling and stop cleanly. Processes may be faster, especially for
pictures: see the measurements in docs/architecture.md.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 8  # cases in parallel: each is a volume in memory
TINY = 8  # cases; with fewer, threads are not worth it
AHEAD = 16  # results per thread that may wait for an earlier, slower case


def default_jobs(cases: int) -> int:
    """The number of cores up to 8; 1 for a tiny data set."""
    if cases <= TINY:
        return 1
    affinity = getattr(os, "sched_getaffinity", None)  # the cores that a scheduler allows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, MOST)


def ordered_map(work: Callable[[T], R], items: Iterable[T], jobs: int) -> Generator[R, None, None]:
    """``map(work, items)`` with ``jobs`` threads.

    Errors are raised in the order of the items. After an error, or if the generator is closed, running
    calls are finished and no other is started.
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
