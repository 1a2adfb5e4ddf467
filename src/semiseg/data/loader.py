"""Slices of a prepared data set as training batches."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.data.augment import apply_geometry, draw_geometry
from semiseg.data.batch import Batch
from semiseg.data.batch_loader import Loader, Slice, items_of_slices
from semiseg.data.elastic import draw_elastic
from semiseg.data.manifest import Case, PreparedData
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


class BatchLoader(Loader[Slice]):
    """Slices, resized to the network's input. Those without labels join the unlabelled images."""

    def items(
        self, labelled: Sequence[Case], unlabelled: Sequence[Case]
    ) -> tuple[list[Slice], list[Slice]]:
        """See `Loader`."""
        return items_of_slices(labelled, unlabelled)

    def open_source(self) -> None:
        """See `Loader`."""
        self.cache = SliceCache(self.data, self.config.size, self.config.cache_mb)

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``."""
        chosen, count = self.chosen(step)
        images: list[Tensor] = []
        labels: list[Tensor] = []
        for number, (case, index) in enumerate(chosen):
            image, label = self.cache.get(case, index, number < count)
            images.append(image)
            if label is not None:
                labels.append(label)
        rng = np.random.default_rng((self.seed, 3, step, self.rank))
        matrices = draw_geometry(len(images), self.config, rng)
        points = draw_elastic(len(images), self.config, rng)
        moved, codes = apply_geometry(
            torch.stack(images), torch.stack(labels), matrices, None, points,
            self.config.elastic_spacing,
        )  # fmt: skip
        maps = self.maps(codes, [None] * len(codes))  # in pixels, because slices are resized
        return Batch(moved, codes.long(), maps)
