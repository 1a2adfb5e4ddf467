"""The type of findings, and outliers of positive values."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Finding:
    """A likely error in a data set.

    Attributes:
        kind: identifier of the kind of finding, such as 'near-duplicates'.
        level: 'serious' invalidates results; 'minor' may be intended.
        sentence: what was found, where, and what to do.
        cases: identifiers of the cases, the worst first.
        pairs: pairs of identifiers, for findings on pairs.
    """

    kind: str
    level: Literal["serious", "minor"]
    sentence: str
    cases: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()


def strange(
    values: Sequence[float], deviations: float, factor: float, fewest: int = 5
) -> NDArray[np.intp]:
    """Return the positions of outliers: values far from the median of logarithms, farthest first.

    Args:
        values: positive values.
        deviations: smallest distance of an outlier in median absolute deviations.
        factor: smallest factor between an outlier and the median, for sets with little spread.
        fewest: with fewer values there are no outliers.
    """
    if len(values) < fewest:
        return np.empty(0, np.intp)
    logs = np.log(np.asarray(values, np.float64))
    away = np.abs(logs - np.median(logs))
    limit = max(deviations * float(np.median(away)), float(np.log(factor)))
    found = np.flatnonzero(away > limit)
    return found[np.argsort(-away[found], kind="stable")]
