"""Intervals of mean scores by the bootstrap over patients.

The images of one patient resemble each other, so whole patients are drawn. The interval describes other
patients of the same kind; the variation between trainings is not part of it.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Scores = Mapping[str, Sequence[float]]
"""Patient -> values of a patient's cases."""

CONFIDENCE = 0.95
FEW = 20
"""Below this number of patients a score is called one of few patients."""
FEWEST = 3
"""Below this number of patients there is no interval."""
RESAMPLES = 2000
SEED = 0


def interval_of_mean(scores: Scores) -> Interval | None:
    """The interval of the mean over cases; None below three patients.

    Args:
        scores: patient -> values of the patient's cases.
    """
    return interval_of_mean_over_groups([scores])


def interval_of_mean_over_groups(groups: Sequence[Scores]) -> Interval | None:
    """The interval of the mean of the means of several groups, such as classes.

    Bias-corrected and accelerated (Efron 1987), by percentiles where that is undefined. A group that a
    resample leaves without a value is left out of it.

    Args:
        groups: for each group, patient -> values of the patient's cases.
    """
    patients = sorted({patient for scores in groups for patient, own in scores.items() if own})
    if len(patients) < FEWEST:
        return None
    sums, counts = np.zeros((2, len(groups), len(patients)))
    for row, scores in enumerate(groups):
        for column, patient in enumerate(patients):
            sums[row, column] = np.sum(scores.get(patient, ()))
            counts[row, column] = len(scores.get(patient, ()))
    return _bootstrap(sums, counts)


def _bootstrap(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> Interval:
    """The interval of the mean over rows of ``sums / counts``, both [groups, patients]."""
    from scipy import stats  # takes a third of a second to import

    def statistic(chosen: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        at = np.moveaxis(chosen, axis, -1).astype(int)
        means = [s[at].sum(-1) / c[at].sum(-1) for s, c in zip(sums, counts, strict=True)]
        return np.asarray(np.nanmean(means, axis=0))

    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore")  # of equal values, whose interval is a point
        for kind in ("BCa", "percentile"):
            found = stats.bootstrap(
                (np.arange(sums.shape[1]),), statistic, n_resamples=RESAMPLES, method=kind,
                confidence_level=CONFIDENCE, rng=np.random.default_rng(SEED), vectorized=True,
            ).confidence_interval  # fmt: skip
            if np.isfinite(found).all():
                break
    return float(found[0]), float(found[1])


def interval_words(interval: Sequence[float] | None, patients: int) -> str:
    """A sentence about the interval of a mean Dice, in percent."""
    few = f" {patients} patients are few." if patients < FEW else ""
    if interval is None:
        if patients >= FEWEST:
            return (
                f"There is no interval of the mean Dice, because fewer than {FEWEST} of the {patients} "
                "patients have a Dice score."
            )
        few = "one patient was" if patients == 1 else f"{patients} patients were"
        return f"There is no interval of the mean Dice, since only {few} scored."
    low, high = interval
    return (
        f"Mean Dice: {100 * CONFIDENCE:.0f}% interval {100 * low:.1f} to {100 * high:.1f}% (bootstrap over "
        f"{patients} patients).{few}"
    )
