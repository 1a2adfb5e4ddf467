"""Which images of a set are the same, or nearly so.

Same: a digest of the voxels. Nearly: the correlation of small grey versions without what images of
one kind have in common: the coarse brightness (dark corners, a bright middle), and the mean of the
set (its rims, a scanner's table). It survives other sizes, compression, brightness, noise, and a cut
or turn by 2 percent or degrees.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

# Kvasir-SEG: its three known pairs reach 0.966 and more, the next one 0.814. ACDC: a scan that is
# there twice 1, its other phase 0.964, other patients 0.445. Hippocampus volumes, cut alike: 0.59.
NEAR = 0.9
FEWEST = 10  # images that have a mean worth the name
PICTURE, VOLUME = (1, 32, 32), (8, 16, 16)  # slices, rows, columns of the small version
COARSE = {PICTURE: (0.0, 4.0, 4.0), VOLUME: (1.0, 2.0, 2.0)}  # what is taken off is this smooth
LEAST_DETAIL = 1e-5  # of an image's brightness, or of a signature: rounding leaves less
MOST_PAIRS = 10_000
BLOCK = 1024  # rows of the correlation matrix at a time

Shape = tuple[int, int, int]


class Fingerprint:
    """Takes in an image slice by slice; a digest of its voxels and its small version come out."""

    def __init__(self, shape: Shape) -> None:
        """``shape`` of the small version, `PICTURE` or `VOLUME`: one for the whole set."""
        self.shape = shape
        self._digest = hashlib.blake2b(digest_size=16)
        self._planes: list[NDArray[np.float32]] = []

    def add(self, plane: NDArray[np.generic]) -> None:
        """One slice [C, H, W]."""
        self._digest.update(f"{plane.dtype.str}{plane.shape}".encode())
        self._digest.update(np.ascontiguousarray(plane).data)
        grey = np.asarray(plane, np.float32).mean(axis=0)
        self._planes.append(reduced(reduced(grey, 0, self.shape[1]), 1, self.shape[2]))

    @property
    def digest(self) -> str:
        """Of all slices, their types and shapes."""
        return self._digest.hexdigest()

    def signature(self) -> NDArray[np.float32]:
        """A vector of mean 0 and length 1 (of zeros for an image without detail)."""
        from scipy import ndimage

        small = reduced(np.stack(self._planes), 0, self.shape[0])
        fine = small - ndimage.gaussian_filter(small, COARSE[self.shape], mode="nearest")
        vector = (fine - fine.mean()).ravel()
        length = float(np.linalg.norm(vector))
        none = length <= LEAST_DETAIL * float(np.abs(small).max()) * vector.size**0.5
        return np.asarray(vector / length if not none else np.zeros_like(vector), np.float32)


def reduced(array: NDArray[np.float32], axis: int, size: int) -> NDArray[np.float32]:
    """``array`` with ``axis`` cut into ``size`` runs and averaged; a shorter axis is repeated."""
    count = array.shape[axis]
    if count < size:
        nearest = ((np.arange(size) + 0.5) * count / size).astype(np.intp)
        return np.take(array, nearest, axis)
    starts = np.arange(size) * count // size
    lengths = np.diff(np.append(starts, count)).astype(np.float32)
    sums = np.add.reduceat(array, starts, axis)
    return np.asarray(
        sums / np.expand_dims(lengths, tuple(range(1, array.ndim - axis))), np.float32
    )


def near_duplicate_pairs(
    signatures: NDArray[np.float32], threshold: float = NEAR
) -> list[tuple[int, int, float]]:
    """Pairs of images whose signatures correlate by at least ``threshold``, the most alike first.

    Args:
        signatures: [N, L] of length 1 each.
        threshold: between 0 and 1.

    Returns:
        (first, second, correlation) with first < second; at most `MOST_PAIRS`.
    """
    signatures = _own(signatures)
    rows: NDArray[np.intp] = np.empty(0, np.intp)
    columns, values = rows, np.empty(0, np.float32)
    for start in range(0, len(signatures), BLOCK):
        block = signatures[start : start + BLOCK] @ signatures[start:].T
        first, second = np.nonzero(np.triu(block >= threshold, k=1))
        rows = np.append(rows, first + start)
        columns = np.append(columns, second + start)
        values = np.append(values, block[first, second])
        best = np.lexsort((columns, rows, -values))[:MOST_PAIRS]
        rows, columns, values = rows[best], columns[best], values[best]
    return [
        (int(i), int(j), min(float(v), 1.0)) for i, j, v in zip(rows, columns, values, strict=True)
    ]


def _own(signatures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signatures without the mean of the set, of length 1 again; those of zeros stay so."""
    real: NDArray[np.bool_] = np.linalg.norm(signatures, axis=1, keepdims=True) > 0
    if real.sum() < FEWEST:
        return signatures
    rest = signatures - signatures.sum(axis=0) / real.sum()
    lengths = np.linalg.norm(rest, axis=1, keepdims=True)
    kept = real & (lengths > LEAST_DETAIL)
    return np.asarray(np.where(kept, rest / np.maximum(lengths, LEAST_DETAIL), 0), np.float32)
