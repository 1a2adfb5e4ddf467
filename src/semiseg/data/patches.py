"""Patches of volumes as training batches."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.augment import apply_geometry, draw_movements, reach, to_matrices
from semiseg.data.batch import Batch
from semiseg.data.distance_maps import stacked_maps
from semiseg.data.manifest import Case, PreparedData
from semiseg.data.sampler import Sampler
from semiseg.data.volumes import VolumeStore, middle


class PatchLoader:
    """``loader(step)`` returns the batch of a step, which depends only on (seed, step, rank).

    A pass over the data takes one patch of every volume. A fraction (``data.foreground``) of the
    labelled patches is centred on a voxel of a class, as far as the edges of the volume allow; all its
    classes are equally likely. Other patches have random positions. A volume that is smaller than a
    patch is padded with zeros and ignored voxels on all sides. Labels are read only for labelled cases.
    """

    def __init__(
        self,
        data: PreparedData,
        labelled: Sequence[Case],
        unlabelled: Sequence[Case],
        counts: tuple[int, int],
        config: DataConfig,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        distance_maps: bool = False,
    ) -> None:
        """``counts``: labelled and unlabelled patches of a batch over all ranks."""
        self.labelled, self.unlabelled = list(labelled), list(unlabelled)
        self.sampler = Sampler(len(self.labelled), len(self.unlabelled), counts, seed, rank, ranks)
        self.store = VolumeStore(data, config.spacing, config.cache_mb)
        self.config, self.seed, self.rank = config, seed, rank
        self.classes = len(data.task.classes)
        self.distance_maps = distance_maps

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``."""
        labelled, unlabelled = self.sampler(step)
        cases = [self.labelled[i] for i in labelled] + [self.unlabelled[i] for i in unlabelled]
        sides = self.config.sides
        rng = np.random.default_rng((self.seed, 3, step, self.rank))
        movements = draw_movements([self.store.spacing(c) for c in cases], self.config, rng)
        box = reach(movements, sides)
        margin = np.subtract(box, sides) // 2
        # a separate generator, so that positions do not depend on the augmentation
        draws = np.random.default_rng((self.seed, 5, step, self.rank)).random((len(cases), 6))
        images: list[Tensor] = []
        labels: list[Tensor] = []
        for number, case in enumerate(cases):
            with_label = number < len(labelled)
            start = self.start(case, draws[number], with_label) - margin
            image, label = self.store.box(case, start.tolist(), box, with_label)
            images.append(image)
            if label is not None:
                labels.append(label)
        matrices = to_matrices(movements, sides, box)
        moved, codes = apply_geometry(torch.stack(images), torch.stack(labels), matrices, sides)
        maps = None
        if self.distance_maps:
            spacings = [self.store.spacing(case) for case in cases[: len(labelled)]]
            maps = stacked_maps(codes, self.classes, spacings)
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
