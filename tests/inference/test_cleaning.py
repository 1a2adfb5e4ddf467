"""The largest component of each class, against a flood fill."""

import numpy as np
from numpy.typing import NDArray

from semiseg.inference.cleaning import keep_largest


def largest(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out = np.zeros_like(mask)
    for code in (1, 2, 3):
        left = {tuple(int(i) for i in place) for place in np.argwhere(mask == code)}
        best: set[tuple[int, ...]] = set()
        while left:
            piece, edge = set(), [min(left)]
            while edge:
                place = edge.pop()
                if place not in left:
                    continue
                left.remove(place)
                piece.add(place)
                for axis in range(3):
                    for step in (-1, 1):
                        other = list(place)
                        other[axis] += step
                        edge.append(tuple(other))
            best = piece if len(piece) > len(best) else best
        for place in best:
            out[place] = code
    return out


def test_the_largest_piece_of_each_class_stays() -> None:
    for seed in range(5):
        mask = np.random.default_rng(seed).choice(4, (3, 9, 8), p=[0.5, 0.3, 0.15, 0.05])
        mask = mask.astype(np.uint8)
        found = keep_largest(mask)
        sizes = [(found == code).sum() for code in range(4)]
        wanted = largest(mask)
        assert sizes == [(wanted == code).sum() for code in range(4)]
        assert ((found == mask) | (found == 0)).all()
        np.testing.assert_array_equal(keep_largest(found), found)


def test_pieces_that_touch_by_a_corner_are_two() -> None:
    mask = np.zeros((1, 4, 4), np.uint8)
    mask[0, 0, :3] = 1
    mask[0, 1, 3] = 1
    np.testing.assert_array_equal(
        np.argwhere(keep_largest(mask)), [[0, 0, 0], [0, 0, 1], [0, 0, 2]]
    )


def test_an_empty_mask_stays_empty() -> None:
    assert not keep_largest(np.zeros((2, 3, 4), np.uint8)).any()
