"""Structures that are drawn as closed lines instead of filled masks."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

LEAST_GROWTH = 3.0  # factor by which filling enlarges closed lines of one pixel
LEAST_GROWTH_OF_PENS = 9.0  # of wider lines; walls of organs and vessels stay below
MOST_IN_BLOCKS = 0.35  # fraction of a line of one pixel in full blocks of 2 x 2 pixels
MOST_IN_CORE = 0.4  # fraction of a wider line with four neighbours: a third at three pixels
LEAST_NEAR = 0.8  # fraction of the structure near a hole; a tree of vessels has other branches
MOST_HOLES = 2.0  # per piece; a mesh of membranes or capillaries has more
REACH = 3  # pixels

Labels = NDArray[np.integer]


@dataclasses.dataclass
class _Sums:
    """Sums over slices of one class, in pixels."""

    area: int = 0
    blocks: int = 0
    core: int = 0
    near: int = 0
    pieces: int = 0
    holes: int = 0


def outline_growth(label: NDArray[np.uint8], classes: int) -> dict[int, float]:
    """Return the classes that look like closed lines with background inside.

    Holes are regions of background within a slice that structures enclose. All classes are walls, so the
    wall of a cavity that is another class has no hole. A hole counts for the class that is most of its
    border.

    Args:
        label: [D, H, W] class codes.
        classes: number of foreground classes, with the codes 1, 2, ...; other codes are ignored.

    Returns:
        Class code -> the factor by which filling the holes enlarges the class.
    """
    areas, enclosed = np.zeros(classes + 1, np.int64), np.zeros(classes + 1, np.int64)
    for codes, holes, owners in _slices(label, classes):
        areas += np.bincount(codes.ravel(), minlength=classes + 1)
        sizes = np.bincount(holes.ravel(), minlength=len(owners))
        np.add.at(enclosed, owners[1:], sizes[1:])
    growth = 1 + enclosed / np.maximum(areas, 1)
    likely = [code for code in range(1, classes + 1) if growth[code] >= LEAST_GROWTH]
    sums = {code: _Sums() for code in likely}
    if likely:
        for codes, holes, owners in _slices(label, classes):
            for code in likely:
                _add(sums[code], codes == code, (owners == code)[holes])
    return {code: float(growth[code]) for code in likely if _is_line(sums[code], growth[code])}


def _is_line(sums: _Sums, growth: float) -> bool:
    loops = sums.near >= LEAST_NEAR * sums.area and sums.holes <= MOST_HOLES * sums.pieces
    thin = sums.blocks <= MOST_IN_BLOCKS * sums.area
    pen = sums.core <= MOST_IN_CORE * sums.area and growth >= LEAST_GROWTH_OF_PENS
    return loops and (thin or pen)


def _slices(label: NDArray[np.uint8], classes: int) -> Iterator[tuple[Labels, Labels, Labels]]:
    """The slices with structures, cropped to these, with a margin of one pixel.

    Yields:
        Class codes, 0 elsewhere; numbers of holes, 0 elsewhere; the class of each hole, by its number.
    """
    from scipy import ndimage

    for plane in label:
        codes = np.where(plane <= classes, plane, 0)
        rows, columns = np.flatnonzero(codes.any(1)), np.flatnonzero(codes.any(0))
        if not len(rows):
            continue
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        codes = np.pad(codes[box], 1)
        # lines that touch by corners are closed, since regions of background are not
        regions, count = ndimage.label(np.pad(plane[box], 1) == 0)
        holes = np.where(regions == regions[0, 0], 0, regions)
        votes = np.zeros((count + 1, classes + 1), np.int64)
        for one, other in (
            (np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:]),
            (np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :-1], np.s_[:, 1:]),
        ):  # fmt: skip
            beside = (holes[one] > 0) & (codes[other] > 0)
            np.add.at(votes, (holes[one][beside], codes[other][beside]), 1)
        owners = votes.argmax(1)
        owners[0] = 0
        for number in _framed(holes, plane.shape):
            owners[number] = 0
        yield codes, holes, owners


def _framed(holes: Labels, shape: tuple[int, ...]) -> list[int]:
    """Numbers of holes [h + 2, w + 2] that extend to all borders of a slice of ``shape``.

    Around them is a frame along the borders of the image, not an outline.
    """
    from scipy import ndimage

    if holes.shape != (shape[0] + 2, shape[1] + 2):
        return []
    return [
        number
        for number, box in enumerate(ndimage.find_objects(holes), start=1)
        if box is not None
        and all(
            part.stop - part.start >= side - 2 * REACH
            for part, side in zip(box, shape, strict=True)
        )
    ]


def _add(sums: _Sums, mask: NDArray[np.bool_], holes: NDArray[np.bool_]) -> None:
    """Add the mask of a class in one slice, with a margin of one pixel, and the holes in it."""
    from scipy import ndimage

    if not mask.any():
        return
    full = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:] & mask[1:, 1:]
    blocks = np.zeros_like(mask)
    for row in (np.s_[:-1], np.s_[1:]):
        for column in (np.s_[:-1], np.s_[1:]):
            blocks[row, column] |= full
    square = np.ones((3, 3), bool)
    sums.area += int(mask.sum())
    sums.blocks += int(blocks.sum())
    sums.core += int(ndimage.binary_erosion(mask).sum())
    sums.near += int((mask & ndimage.binary_dilation(holes, square, REACH)).sum())
    sums.pieces += int(ndimage.label(mask, square)[1])
    sums.holes += int(ndimage.label(holes)[1])
