"""Evenly spaced indices, to choose a few of many cases, slices or voxels."""

import numpy as np


def evenly_spaced(length: int, most: int) -> list[int]:
    """At most ``most`` unique indices from 0 to ``length`` - 1, ascending.

    The first and the last index are included; a single index is 0.
    """
    return [round(place) for place in np.linspace(0, length - 1, min(most, length)).tolist()]
