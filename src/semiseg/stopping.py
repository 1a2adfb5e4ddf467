"""Stopping after the current step on Ctrl-C or a scheduler's SIGTERM."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Stop:
    """The signal that was received; 0 if none."""

    number: int = 0

    def __call__(self) -> bool:
        """Whether a signal was received."""
        return self.number != 0

    def pass_on(self) -> None:
        """Raise the exception that the signal would have raised."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.number:
            raise SystemExit(128 + self.number)


@contextlib.contextmanager
def listening() -> Iterator[Stop]:
    """Record SIGINT and SIGTERM instead of ending the process; a second signal ends it at once.

    Signals that are ignored stay ignored. Only the main thread receives signals.
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
