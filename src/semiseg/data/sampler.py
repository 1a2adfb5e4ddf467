"""Sampling of the images of a step, which depends only on (seed, step), so resuming is exact."""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Stream:
    """Endless passes over ``length`` items, each in a new random order."""

    def __init__(self, length: int, seed: int, name: int) -> None:
        """``name``: a number that makes the orders of this stream differ from those of others."""
        self.length, self.seed, self.name = length, seed, name
        self._order = functools.lru_cache(maxsize=4)(self._draw)

    def _draw(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, self.name, epoch)).permutation(self.length)

    def take(self, step: int, count: int) -> list[int]:
        """The ``count`` items of ``step``."""
        positions = range(step * count, (step + 1) * count)
        return [int(self._order(p // self.length)[p % self.length]) for p in positions]


class Sampler:
    """Labelled and unlabelled items of every step, divided among ranks without overlap."""

    def __init__(
        self, labelled: int, unlabelled: int, counts: tuple[int, int], seed: int, rank: int = 0,
        ranks: int = 1,
    ) -> None:  # fmt: skip
        """``labelled``, ``unlabelled``: number of items; ``counts``: number of each per step."""
        self.streams = (Stream(labelled, seed, 1), Stream(unlabelled, seed, 2))
        self.counts, self.rank, self.ranks = counts, rank, ranks

    def __call__(self, step: int) -> tuple[Sequence[int], Sequence[int]]:
        """Positions of the labelled and of the unlabelled items of ``step`` for this rank."""
        labelled, unlabelled = (
            stream.take(step, count)[self.rank :: self.ranks] if count else []
            for stream, count in zip(self.streams, self.counts, strict=True)
        )
        return labelled, unlabelled
