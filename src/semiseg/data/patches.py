"""Patches of volumes as training batches."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.augment import apply_geometry, draw_movements, reach, to_matrices
from semiseg.data.batch import Batch
from semiseg.data.batch_loader import Loader
from semiseg.data.elastic import draw_elastic
from semiseg.data.manifest import Case
from semiseg.data.volumes import VolumeStore, middle


class PatchLoader(Loader[Case]):
    """Patches of volumes.

    A pass over the data takes one patch of every volume. A fraction (``data.foreground``) of the
    labelled patches is centred on a voxel of a class, as far as the edges of the volume allow; all its
    classes are equally likely. Other patches have random positions. A volume that is smaller than a
    patch is padded with zeros and ignored voxels on all sides.
    """

    def items(
        self, labelled: Sequence[Case], unlabelled: Sequence[Case]
    ) -> tuple[list[Case], list[Case]]:
        """See `Loader`."""
        return list(labelled), list(unlabelled)

    def open_source(self) -> None:
        """See `Loader`."""
        self.store = VolumeStore(self.data, self.config.spacing, self.config.cache_mb)

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``."""
        cases, count = self.chosen(step)
        sides = self.config.sides
        rng = np.random.default_rng((self.seed, 3, step, self.rank))
        spacings = [self.store.spacing(case) for case in cases]
        movements = draw_movements(spacings, self.config, rng)
        points = draw_elastic(len(cases), self.config, rng, spacings)
        box = reach(movements, sides, points)
        margin = np.subtract(box, sides) // 2
        # a separate generator, so that positions do not depend on the augmentation
        draws = np.random.default_rng((self.seed, 5, step, self.rank)).random((len(cases), 6))
        images: list[Tensor] = []
        labels: list[Tensor] = []
        for number, case in enumerate(cases):
            with_label = number < count
            start = self.start(case, draws[number], with_label) - margin
            image, label = self.store.box(case, start.tolist(), box, with_label)
            images.append(image)
            if label is not None:
                labels.append(label)
        matrices = to_matrices(movements, sides, box)
        moved, codes = apply_geometry(
            torch.stack(images), torch.stack(labels), matrices, sides, points,
            self.config.elastic_spacing,
        )  # fmt: skip
        maps = self.maps(codes, spacings[:count])
        return Batch(moved.contiguous(), codes.long(), maps)

    def start(self, case: Case, draws: NDArray[np.float64], with_label: bool) -> NDArray[np.int64]:
        """The first voxel of a patch of ``case``; ``draws``: six numbers in [0, 1)."""
        shape, sides = self.store.shape(case), self.config.sides
        free = np.maximum(np.subtract(shape, sides), 0)
        first = np.minimum(middle(shape, sides), 0)  # below 0 if the volume is smaller
        if with_label and draws[0] < self.config.foreground:
            places = self.store.places(case)
            if places:
                of_class = places[int(draws[1] * len(places))]
                voxel = of_class[int(draws[2] * len(of_class))]
                on_class = np.clip(voxel - np.floor_divide(sides, 2), 0, free) + first
                return np.asarray(on_class, np.int64)
        return np.asarray(first + np.floor(draws[3:] * (free + 1)), np.int64)
