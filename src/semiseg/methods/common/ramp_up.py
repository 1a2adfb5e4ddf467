"""Weights that increase during a run.

``current`` and ``length`` have the same unit: fractions of the run (t/T, default length 1) or iterations
(`semiseg.methods.base.as_iterations` converts an option to iterations). Both functions are 1 for ``current``
of at least ``length``, and always 1 for a length of 0.
"""

import math


def sigmoid_rampup(current: float, length: float = 1.0) -> float:
    """Return ``exp(-5 (1 - t/T)^2)`` (Laine and Aila 2017; MCSC section 3.3)."""
    return math.exp(-5.0 * (1.0 - linear_rampup(current, length)) ** 2)


def linear_rampup(current: float, length: float = 1.0) -> float:
    """Return ``t/T``, clipped to [0, 1] (MixMatch, Berthelot et al. 2019)."""
    return min(max(current / length, 0.0), 1.0) if length > 0 else 1.0
