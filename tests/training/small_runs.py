"""Small trainings for tests, and a console that records messages."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from semiseg.console import Bar, Console, Quiet
from semiseg.data.manifest import PreparedData
from semiseg.testing.data import small_settings
from semiseg.workflows.train import TrainResult, train

WriteData = Callable[[Path], PreparedData]


class StoppedError(Exception):
    """Raised by tests to interrupt a training."""


class Recorder(Quiet):
    """Records messages, and can stop a training after some steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.said: list[str] = []
        self.notes: list[str] = []
        self.stop_after = stop_after

    def info(self, text: str = "") -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0) -> Iterator[Bar]:
        steps, stop_after, notes = itertools.count(1), self.stop_after, self.notes

        class Counting:
            def advance(self, _: int = 1, note: str = "") -> None:
                notes.append(note)
                if next(steps) == stop_after:
                    raise StoppedError

        yield Counting()


def run(
    data: PreparedData, out: Path, method: str, *more: str, console: Console | None = None,
    **options: Any,
) -> TrainResult | None:  # fmt: skip
    base = small_settings(method)
    return train(
        data.folder, out, method=method, settings=[*base, *more], device="cpu",
        console=console or Quiet(), **({"labelled": "2"} | options),
    )  # fmt: skip


def last(out: Path) -> dict[str, Tensor]:
    return load_file(str(out / "weights" / "last.safetensors"))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items())
