"""What a finding is, and how its cases are named in a sentence."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Attributes:
        kind: a word for programs, such as 'near-duplicates'.
        level: 'serious' makes results wrong or worthless; 'look' may be meant so.
        sentence: what, where, and what to do.
        cases: identifiers that it is about, the worst first.
        pairs: of identifiers, where it is about pairs.
    """

    kind: str
    level: Literal["serious", "look"]
    sentence: str
    cases: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()


def strange(
    values: Sequence[float], deviations: float, factor: float, fewest: int = 5
) -> NDArray[np.intp]:
    """Positions of positive values far from the median of their logarithms, the farthest first.

    Args:
        values: above 0.
        deviations: beyond as many median absolute deviations;
        factor: and beyond this factor, so that a set without spread is not picked apart.
        fewest: below as many values nothing is usual.
    """
    if len(values) < fewest:
        return np.empty(0, np.intp)
    logs = np.log(np.asarray(values, np.float64))
    away = np.abs(logs - np.median(logs))
    limit = max(deviations * float(np.median(away)), float(np.log(factor)))
    found = np.flatnonzero(away > limit)
    return found[np.argsort(-away[found], kind="stable")]
