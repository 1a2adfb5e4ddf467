"""Exact nearest-neighbour distances between two sets of grid points, by the quicker of two ways."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Distances = NDArray[np.float64]

# What one target costs a tree to build and one query to answer, in voxels of the box that a
# distance transform covers in that time (measured on ACDC's masks). Only speed depends on them.
BUILD, QUERY = 2.2, 6.7


def nearest_distances(
    points: NDArray[np.bool_], target: NDArray[np.bool_], steps: NDArray[np.float64]
) -> tuple[Distances, Distances]:
    """Distances of each point of one grid to the nearest of the other, and the other way round.

    Args:
        points: bool, any number of axes, at least one True.
        target: bool, same shape, at least one True.
        steps: [axes] distance of two neighbours along each axis.

    Returns:
        ([number of points], [number of targets]) in the order of ``np.nonzero``, unit of ``steps``.
    """
    here, there = _places(points), _places(target)
    return _directed(here, there, target, steps), _directed(there, here, points, steps)


def _places(grid: NDArray[np.bool_]) -> NDArray[np.intp]:
    """[N, axes]; several times faster than ``np.argwhere`` on sparse grids."""
    return np.stack(np.unravel_index(np.flatnonzero(grid), grid.shape), 1)


def _directed(
    here: NDArray[np.intp],
    there: NDArray[np.intp],
    target: NDArray[np.bool_],
    steps: NDArray[np.float64],
) -> Distances:
    distances = np.zeros(len(here))
    apart = ~target[tuple(here.T)]  # good masks share much of their surface, at distance 0
    rest = here[apart]
    if not len(rest):
        return distances
    if target.size > BUILD * len(there) + QUERY * len(rest):
        # Unbalanced nodes build faster, and the tree is queried only once.
        tree = cKDTree(there * steps, balanced_tree=False, compact_nodes=False)
        distances[apart] = tree.query(rest * steps)[0]
        return distances
    # The transform's own distances would be computed for the whole box: take the indices only.
    indices = ndimage.distance_transform_edt(
        ~target, sampling=steps, return_distances=False, return_indices=True
    )
    nearest = indices[(slice(None), *rest.T)].T
    distances[apart] = np.sqrt((((nearest - rest) * steps) ** 2).sum(axis=1))
    return distances
