"""Slices of a prepared data set as training batches."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.augment import apply_geometry, draw_geometry
from semiseg.data.batch import Batch
from semiseg.data.distance_maps import stacked_maps
from semiseg.data.manifest import Case, PreparedData
from semiseg.data.sampler import Sampler
from semiseg.data.task import normalise


def to_input(image: Tensor, size: int) -> Tensor:
    """[N, C, H, W] -> [N, C, size, size], bilinear, with antialiasing if it shrinks."""
    if image.shape[-2:] == (size, size):
        return image
    shrinks = image.shape[-2] > size or image.shape[-1] > size
    return F.interpolate(image, (size, size), mode="bilinear", antialias=shrinks)


class SliceCache:
    """Normalised slices at the network's input size, cached up to a memory limit."""

    def __init__(self, data: PreparedData, size: int, limit_mb: int) -> None:
        self.data, self.size, self.limit = data, size, limit_mb * 2**20
        self.kept: OrderedDict[tuple[str, int, bool], tuple[Tensor, Tensor | None]] = OrderedDict()
        self.used = 0

    def get(self, case: Case, index: int, with_label: bool) -> tuple[Tensor, Tensor | None]:
        """Image [C, S, S] float32 and, with ``with_label``, label [S, S] uint8."""
        key = (case.identifier, index, with_label)
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        pixels = self.data.image_slice(case.identifier, index)
        image = torch.from_numpy(normalise(pixels, self.data.task.intensity, case.bounds))
        image = to_input(image[None], self.size)[0]
        label = None
        if with_label:
            codes = torch.from_numpy(self.data.label_slice(case.identifier, index))
            label = F.interpolate(codes[None, None], (self.size, self.size), mode="nearest-exact")
            label = label[0, 0]
        cost = image.numel() * 4 + (0 if label is None else label.numel())
        self.used += cost
        self.kept[key] = (image, label)
        while self.used > self.limit and len(self.kept) > 1:
            _, (old, old_label) = self.kept.popitem(last=False)
            self.used -= old.numel() * 4 + (0 if old_label is None else old_label.numel())
        return image, label


def slices_of(cases: Sequence[Case]) -> list[tuple[Case, int]]:
    """All slices of ``cases``, in order."""
    return [(case, index) for case in cases for index in range(case.slices)]


def labelled_slices_of(cases: Sequence[Case]) -> list[tuple[Case, int]]:
    """The slices of labelled ``cases`` that have labels, in order."""
    return [(case, index) for case in cases for index in case.labelled_slices]


def unlabelled_slices_of(cases: Sequence[Case]) -> list[tuple[Case, int]]:
    """The slices of labelled ``cases`` without labels, which serve as unlabelled images."""
    return [(case, index) for case in cases for index in case.unlabelled_slices]


class BatchLoader:
    """``loader(step)`` returns the batch of a step, which depends only on (seed, step, rank).

    Labels are read only for labelled cases. Their slices without labels join the unlabelled images.
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
        """``counts``: labelled and unlabelled images of a batch over all ranks."""
        self.labelled = labelled_slices_of(labelled)
        self.unlabelled = slices_of(unlabelled) + unlabelled_slices_of(labelled)
        self.sampler = Sampler(len(self.labelled), len(self.unlabelled), counts, seed, rank, ranks)
        self.cache = SliceCache(data, config.size, config.cache_mb)
        self.config, self.seed, self.rank = config, seed, rank
        self.classes = len(data.task.classes)
        self.distance_maps = distance_maps

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``."""
        chosen_labelled, chosen_unlabelled = self.sampler(step)
        images: list[Tensor] = []
        labels: list[Tensor] = []
        for position in chosen_labelled:
            image, label = self.cache.get(*self.labelled[position], True)
            assert label is not None
            images.append(image)
            labels.append(label)
        for position in chosen_unlabelled:
            images.append(self.cache.get(*self.unlabelled[position], False)[0])
        rng = np.random.default_rng((self.seed, 3, step, self.rank))
        matrices = draw_geometry(len(images), self.config, rng)
        moved, codes = apply_geometry(torch.stack(images), torch.stack(labels), matrices)
        maps = None
        if self.distance_maps:  # in pixels, because slices are resized
            maps = stacked_maps(codes, self.classes, [None] * len(codes))
        return Batch(moved, codes.long(), maps)
