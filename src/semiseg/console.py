"""Console output: messages, and a progress bar with the time left.

On a terminal the bar is live (rich). Elsewhere, such as in a log file, a plain line is printed every
15 seconds.
"""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from semiseg.text import duration, kind_of, one_line

T = TypeVar("T")


class Bar(Protocol):
    """A running progress bar."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Advance by ``steps`` and show ``note`` (loss, Dice) beside the bar."""


class Console:
    """Writes messages to standard output and progress to standard error."""

    def info(self, text: str = "") -> None:
        """Print a message."""
        print(text, flush=True)

    def warn(self, text: str) -> None:
        """Print a warning on one line."""
        print(f"note: {one_line(text)}", flush=True)

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Yield ``items`` under a progress bar."""
        if total is None:
            items = list(items)
            total = len(items)
        with self.bar(label, total) as bar:
            for item in items:
                yield item
                bar.advance()

    @contextlib.contextmanager
    def bar(self, label: str, total: int, done: int = 0) -> Iterator[Bar]:
        """A bar over ``total`` steps, of which ``done`` are complete."""
        if sys.stderr.isatty():
            with _rich_bar(label, total, done) as bar:
                yield bar
        else:
            plain = _PlainBar(label, total, done)
            yield plain


class Quiet(Console):
    """Prints nothing: for tests and for use as a library."""

    def info(self, text: str = "") -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Do nothing."""

    @contextlib.contextmanager
    def bar(self, label: str, total: int, done: int = 0) -> Iterator[Bar]:
        """A bar that shows nothing."""
        yield _NoBar()


class Repeated:
    """Warnings about files, of which those that differ only in names and numbers are counted.

    The first one is printed at once, the others in one line at the end.
    """

    def __init__(self, console: Console, what: str) -> None:
        """Args: console: prints them. what: their first word, such as 'skipped'."""
        self.console, self.what = console, what
        self._others: dict[str, tuple[str, list[str]]] = {}

    def add(self, sentence: str, name: str, files: Iterable[str] = ()) -> None:
        """Print ``sentence`` about the file or case ``name``, or count it if it is not the first of its kind.

        ``files``: paths that it may contain.
        """
        names = {path for file in (name, *files) for path in (file, file.rpartition("/")[2])}
        kind = kind_of(sentence, names)
        if kind in self._others:
            self._others[kind][1].append(name)
            return
        self._others[kind] = (name, [])
        self.console.warn(f"{self.what}: {sentence}")

    def finish(self) -> None:
        """Print the number and names of the others of each kind."""
        for first, names in self._others.values():
            if names:
                self.console.warn(
                    f"{self.what} for the same reason as {first}: {len(names):,} more ({', '.join(names)})."
                )


class _NoBar:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass


class _PlainBar:
    """Prints a line every 15 seconds and one at the end."""

    def __init__(self, label: str, total: int, done: int) -> None:
        self.label, self.total, self.first, self.done = label, total, done, done
        self.start = self.last = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps
        now = time.monotonic()
        if now - self.last < 15 and self.done < self.total:
            return
        self.last = now
        rate = (self.done - self.first) / max(now - self.start, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        tail = f"{duration(left)} left" if self.done < self.total else duration(now - self.start)
        note = f", {note}" if note else ""
        print(f"{self.label}: {self.done}/{self.total}{note}, {tail}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _rich_bar(label: str, total: int, done: int) -> Iterator[Bar]:
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        TextColumn("{task.description}", markup=False),  # names may contain brackets
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
        console=RichConsole(stderr=True),
    )
    with progress:
        task = progress.add_task(label, total=total, completed=done, note="")

        class _RichBar:
            def advance(self, steps: int = 1, note: str = "") -> None:
                if note:
                    progress.update(task, note=note)
                progress.advance(task, steps)

        yield _RichBar()
