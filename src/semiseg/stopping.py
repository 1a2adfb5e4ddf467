"""Ctrl-C and a scheduler's SIGTERM end long work after the step at hand."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Stop:
    """Which signal asked for the end; 0 while none has."""

    number: int = 0

    def __call__(self) -> bool:
        """Whether the work is to end."""
        return self.number != 0

    def pass_on(self) -> None:
        """Do what the signal would have done."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.number:
            raise SystemExit(128 + self.number)


@contextlib.contextmanager
def listening() -> Iterator[Stop]:
    """Note SIGINT and SIGTERM in place of dying of them; a second one acts at once.

    A signal that is ignored stays so, and other threads than the main one have none.
    """
    stop = Stop()
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {n: h for n in numbers if (h := signal.getsignal(n)) not in (signal.SIG_IGN, None)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        stop.number = number
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
