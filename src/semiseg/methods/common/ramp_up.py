"""Weights that grow in the course of a run.

``current`` and ``length`` have the same unit: t/T with the default length 1, parts of a run, or iterations
(`semiseg.methods.base.start_of` turns an option into iterations). Both functions are 1 from ``length`` on,
and everywhere for a length of 0.
"""

import math


def sigmoid_rampup(current: float, length: float = 1.0) -> float:
    """``exp(-5 (1 - t/T)^2)`` (Laine and Aila 2017; MCSC section 3.3)."""
    return math.exp(-5.0 * (1.0 - linear_rampup(current, length)) ** 2)


def linear_rampup(current: float, length: float = 1.0) -> float:
    """``t/T``, held between 0 and 1 (MixMatch, Berthelot et al. 2019)."""
    return min(max(current / length, 0.0), 1.0) if length > 0 else 1.0
