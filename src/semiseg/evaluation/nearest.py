"""Exact nearest-neighbour distances between two sets of grid points, by the quicker of two ways."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Distances = NDArray[np.float64]

# A surface voxel costs the tree about as much as this many voxels of the box cost the transform
# (benchmarks/surface_distances.py measures it). Only speed depends on it.
TREE_TO_TRANSFORM = 4.0


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
    here, there = np.stack(np.nonzero(points), 1), np.stack(np.nonzero(target), 1)
    if points.size > TREE_TO_TRANSFORM * (len(here) + len(there)):
        return _by_tree(here, there, steps), _by_tree(there, here, steps)
    return _by_transform(here, target, steps), _by_transform(there, points, steps)


def _by_tree(
    here: NDArray[np.intp], there: NDArray[np.intp], steps: NDArray[np.float64]
) -> Distances:
    # Unbalanced nodes build faster, and the tree is queried only once.
    tree = cKDTree(there * steps, balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(here * steps)[0], np.float64)


def _by_transform(
    here: NDArray[np.intp], target: NDArray[np.bool_], steps: NDArray[np.float64]
) -> Distances:
    # The transform's own distances would be computed for the whole box: take the indices only.
    indices = ndimage.distance_transform_edt(
        ~target, sampling=steps, return_distances=False, return_indices=True
    )
    nearest = indices[(slice(None), *here.T)].T
    return np.asarray(np.sqrt((((nearest - here) * steps) ** 2).sum(axis=1)), np.float64)
