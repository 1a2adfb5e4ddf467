"""Square crops of slices at their own resolution as training batches."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.augment import apply_geometry, draw_geometry
from semiseg.data.batch import Batch
from semiseg.data.batch_loader import Loader, Slice, items_of_slices
from semiseg.data.elastic import draw_elastic, extents
from semiseg.data.evenly_spaced import evenly_spaced
from semiseg.data.manifest import Case
from semiseg.data.volumes import MOST_PLACES, VolumeStore, middle


class CropLoader(Loader[Slice]):
    """Crops of slices. Slices without labels join the unlabelled images.

    A fraction (``data.foreground``) of the labelled crops is centred on a pixel of a class, as far as
    the edges of the slice allow; all classes of the slice are equally likely. Other crops have random
    positions. A slice that is smaller than a crop is padded with zeros and ignored pixels on all sides.
    A crop is read with a margin for its random transform, so that its corners are empty only outside
    the slice.
    """

    def items(
        self, labelled: Sequence[Case], unlabelled: Sequence[Case]
    ) -> tuple[list[Slice], list[Slice]]:
        """See `Loader`."""
        return items_of_slices(labelled, unlabelled)

    def open_source(self) -> None:
        """See `Loader`."""
        self.store = VolumeStore(self.data, None, 0)
        self._places: dict[tuple[str, int], list[NDArray[np.int64]]] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``."""
        chosen, count = self.chosen(step)
        side = self.config.side
        rng = np.random.default_rng((self.seed, 3, step, self.rank))
        matrices = draw_geometry(len(chosen), self.config, rng)
        points = draw_elastic(len(chosen), self.config, rng)
        box = _reach(matrices, side, points)
        # a separate generator, so that positions do not depend on the augmentation
        draws = np.random.default_rng((self.seed, 5, step, self.rank)).random((len(chosen), 5))
        images: list[Tensor] = []
        labels: list[Tensor] = []
        for number, one in enumerate(chosen):
            with_label = number < count
            corner = self.start(one, draws[number], with_label) - (box - side) // 2
            image, label = read_crop(self.store, one, corner, (box, box), with_label)
            images.append(image)
            if label is not None:
                labels.append(label)
        matrices[:, :, :2] *= side / box
        matrices[:, :, 2] *= side / box
        moved, codes = apply_geometry(
            torch.stack(images), torch.stack(labels), matrices, (side, side), points,
            self.config.elastic_spacing,
        )  # fmt: skip
        maps = self.maps(codes, [None] * len(codes))
        return Batch(moved.contiguous(), codes.long(), maps)

    def start(self, one: Slice, draws: NDArray[np.float64], with_label: bool) -> NDArray[np.int64]:
        """The first pixel (row, column) of a crop of a slice; ``draws``: five numbers in [0, 1)."""
        shape, sides = one[0].shape[2:], (self.config.side, self.config.side)
        free = np.maximum(np.subtract(shape, sides), 0)
        first = np.minimum(middle(shape, sides), 0)  # below 0 if the slice is smaller
        if with_label and draws[0] < self.config.foreground:
            places = self.places(one)
            if places:
                of_class = places[int(draws[1] * len(places))]
                pixel = of_class[int(draws[2] * len(of_class))]
                return np.asarray(np.clip(pixel - self.config.side // 2, 0, free) + first, np.int64)
        return np.asarray(first + np.floor(draws[3:] * (free + 1)), np.int64)

    def places(self, one: Slice) -> list[NDArray[np.int64]]:
        """Up to `MOST_PLACES` pixels [n, 2] of each foreground class in a labelled slice."""
        key = (one[0].identifier, one[1])
        if key not in self._places:
            self._places[key] = pixels_by_class(self.data.label_slice(*key), self.classes)
        return self._places[key]


def pixels_by_class(label: NDArray[np.uint8], classes: int) -> list[NDArray[np.int64]]:
    """Up to `MOST_PLACES` pixels [n, 2] of each foreground class that a label [H, W] contains."""
    flat = label.ravel()
    found = []
    for code in range(1, classes):
        pixels = np.flatnonzero(flat == code)
        if len(pixels):
            some = pixels[evenly_spaced(len(pixels), MOST_PLACES)]
            found.append(np.stack(np.unravel_index(some, label.shape), 1))
    return found


def read_crop(
    store: VolumeStore,
    one: Slice,
    corner: NDArray[np.int64],
    sides: tuple[int, int],
    with_label: bool,
) -> tuple[Tensor, Tensor | None]:
    """Image [C, *sides] float32 and, with ``with_label``, label [*sides] uint8 of a box of a slice.

    Outside the slice, the image is 0 and the label is ``IGNORE_INDEX``.
    """
    case, index = one
    start, box = (index, int(corner[0]), int(corner[1])), (1, *sides)
    image, label = store.box(case, start, box, with_label)
    return image[:, 0], None if label is None else label[0]


def _reach(matrices: Tensor, side: int, points: Tensor | None) -> int:
    """The side of a square box around a crop that contains the crop after each of the transforms.

    Its margins are equal on both sides, so that the crop is in the middle of its box. ``points``: see
    `semiseg.data.augment.reach`.
    """
    sizes = matrices.abs().double()
    if points is not None:
        sizes[:, :, :2] *= extents(points).flip(1)[:, None]  # the matrices count columns first
    furthest = float(sizes.sum(2).max())  # linear part and shift; 1: at the edge
    return side + 2 * max(int(np.ceil((furthest - 1) * side / 2 - 1e-3)), 0)
