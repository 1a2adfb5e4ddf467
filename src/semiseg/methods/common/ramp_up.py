"""Weights that grow in the course of a run."""

import math


def sigmoid_rampup(fraction: float) -> float:
    """``exp(-5 (1 - t/T)^2)`` (Laine and Aila 2017; MCSC section 3.3). ``fraction`` is t/T."""
    return math.exp(-5.0 * (1.0 - min(max(fraction, 0.0), 1.0)) ** 2)
