"""Reading boxes of volumes, normalised and at a common spacing, for 3D training."""

import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.evenly_spaced import evenly_spaced
from semiseg.data.manifest import Case, PreparedData
from semiseg.data.resampling import new_shape, resample, resample_labels
from semiseg.data.task import IGNORE_INDEX, normalise
from semiseg.errors import UserError, memory_for

Spacing = tuple[float, float, float]
MOST_PLACES = 1000  # per class and case


class VolumeStore:
    """The volumes of a data set on the grid of training.

    Without resampling, only the requested box is read and normalised. Otherwise the resampled volume
    is cached up to a memory limit.
    """

    def __init__(self, data: PreparedData, spacing: Spacing | None, limit_mb: int) -> None:
        """``spacing``: (slice, row, column) in mm; None keeps the spacing of each volume."""
        self.data, self.target, self.limit = data, spacing, limit_mb * 2**20
        self.kept: OrderedDict[tuple[str, bool], tuple[Tensor, Tensor | None]] = OrderedDict()
        self.used = 0
        self._places: dict[str, list[NDArray[np.int64]]] = {}

    def shape(self, case: Case) -> tuple[int, ...]:
        """(D, H, W) on this grid."""
        stored = (case.shape[0], *case.shape[2:])
        if self.target is None:
            return stored
        return new_shape(stored, spacing_of(case), self.target)

    def spacing(self, case: Case) -> Spacing:
        """(slice, row, column) in mm on this grid; (1, 1, 1) if unknown."""
        return self.target or case.spacing or (1.0, 1.0, 1.0)

    def box(
        self, case: Case, start: Sequence[int], sides: Sequence[int], with_label: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Image [C, *sides] float32 and, with ``with_label``, label [*sides] uint8.

        Outside the volume, the image is 0 and the label is ``IGNORE_INDEX``.
        """
        shape = self.shape(case)
        inside = [
            slice(max(first, 0), max(min(first + side, n), 0))
            for first, side, n in zip(start, sides, shape, strict=True)
        ]
        within = [slice(i.start - a, i.stop - a) for i, a in zip(inside, start, strict=True)]
        out = torch.zeros((self.data.task.channels, *sides))
        codes = None
        if with_label:
            codes = torch.full(tuple(sides), IGNORE_INDEX, dtype=torch.uint8)
        if any(i.stop <= i.start for i in inside):
            return out, codes
        if self._is_stored(case, shape):
            z, y, x = inside
            pixels = np.asarray(self.data.image(case.identifier)[z, :, y, x])
            self.data.check_finite(pixels, case.identifier)
            values = normalise(pixels, self.data.task.intensity, case.bounds)
            image = torch.from_numpy(values).movedim(0, 1)
            label = self._stored_label(case, inside) if with_label else None
        else:
            image, label = self._resampled(case, with_label)
            image = image[:, inside[0], inside[1], inside[2]]
            label = None if label is None else label[inside[0], inside[1], inside[2]]
        out[:, within[0], within[1], within[2]] = image
        if codes is not None and label is not None:
            codes[within[0], within[1], within[2]] = label
        return out, codes

    def places(self, case: Case) -> list[NDArray[np.int64]]:
        """Up to `MOST_PLACES` voxels [n, 3] of each foreground class in ``case``."""
        if case.identifier not in self._places:
            shape = self.shape(case)
            whole = [slice(0, n) for n in shape]
            if self._is_stored(case, shape):
                label = self._stored_label(case, whole)
            else:
                resampled = self._resampled(case, True)[1]
                assert resampled is not None
                label = resampled
            flat = label.numpy().ravel()
            found = []
            for code in range(1, len(self.data.task.classes)):
                voxels = np.flatnonzero(flat == code)
                if len(voxels):
                    chosen = voxels[evenly_spaced(len(voxels), MOST_PLACES)]
                    found.append(np.stack(np.unravel_index(chosen, shape), 1))
            self._places[case.identifier] = found
        return self._places[case.identifier]

    def _resample(self, case: Case, with_label: bool) -> tuple[Tensor, Tensor | None]:
        shape = self.shape(case)
        pixels = np.asarray(self.data.image(case.identifier))
        self.data.check_finite(pixels, case.identifier)
        values = torch.from_numpy(normalise(pixels, self.data.task.intensity, case.bounds))
        image = resample(values.movedim(0, 1), shape)
        if not with_label:
            return image, None
        codes = np.asarray(self.data.label(case.identifier))
        self.data.check_codes(codes, case.identifier)
        return image, resample_labels(codes, shape)

    def _is_stored(self, case: Case, shape: Sequence[int]) -> bool:
        return tuple(shape) == (case.shape[0], *case.shape[2:])

    def _stored_label(self, case: Case, inside: Sequence[slice]) -> Tensor:
        z, y, x = inside
        label = np.array(self.data.label(case.identifier)[z, y, x])
        self.data.check_codes(label, case.identifier)
        return torch.from_numpy(label)

    def _resampled(self, case: Case, with_label: bool) -> tuple[Tensor, Tensor | None]:
        key = (case.identifier, with_label)
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        with memory_for(case.identifier, "resample it"):
            image, label = self._resample(case, with_label)
        self.kept[key] = image, label
        self.used += _bytes(image, label)
        while self.used > self.limit and len(self.kept) > 1:
            _, old = self.kept.popitem(last=False)
            self.used -= _bytes(*old)
        return image, label


def _bytes(image: Tensor, label: Tensor | None) -> int:
    return image.numel() * 4 + (0 if label is None else label.numel())


def spacing_of(case: Case) -> Spacing:
    """(slice, row, column) in mm; raises `UserError` if the case has no spacing."""
    if case.spacing is None:
        raise UserError(
            f"{case.identifier} has no spacing, so it cannot be resampled: use "
            "data.spacing=null, or data.dimensions=2."
        )
    return case.spacing


def middle(shape: Sequence[int], sides: Sequence[int]) -> list[int]:
    """The start of a box that is centred in a volume; negative if the box is larger."""
    return [math.ceil((n - s) / 2) for n, s in zip(shape, sides, strict=True)]
