"""A few of many, spread evenly: cases to show, slices to embed, voxels to remember."""

import numpy as np


def evenly_spaced(length: int, most: int) -> list[int]:
    """At most ``most`` of the places 0 to ``length`` - 1, ascending, the first and the last among them.

    One place alone is the first. No place comes twice.
    """
    return [round(place) for place in np.linspace(0, length - 1, min(most, length)).tolist()]
