"""Scales and patch sides of MCSC. This module does not import torch, because `prepare` uses it."""

# the paper's "256", 56 and 28 are 1, 1/4 and 1/8; 1/2 is for volumes
SCALES = (1, 2, 4, 8)
USUAL_SCALES = (1, 8)
CUBES = {1: 7, 2: 7, 4: 6, 8: 6}  # about as many embeddings as the paper's 19 x 19 and 14 x 14


def default_sides(size: int) -> dict[int, int]:
    """Return h' per scale: 19/224 of the side at 1, a quarter of the map at 1/4, half of it at 1/8."""
    return {1: max(round(19 * size / 224), 1), 4: max(size // 16, 1), 8: max(size // 16, 1)}
