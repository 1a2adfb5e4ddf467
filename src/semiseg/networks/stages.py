"""Strides and kernels of the stages of an encoder-decoder, in two or three dimensions.

As in nnU-Net (Isensee et al. 2021), an axis with long voxel sides (the slices of a stack) has stride 1
and kernel 1 until the other axes are pooled to voxels of that length.
"""

import dataclasses
import math
from collections.abc import Sequence

from torch import nn

from semiseg.errors import UserError

CONVOLUTIONS: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]] = {
    2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d
}  # fmt: skip
POOLS: dict[int, type[nn.MaxPool2d] | type[nn.MaxPool3d]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
NORMS: dict[tuple[str, int], type[nn.Module]] = {
    ("batch", 2): nn.BatchNorm2d,
    ("batch", 3): nn.BatchNorm3d,
    ("instance", 2): nn.InstanceNorm2d,
    ("instance", 3): nn.InstanceNorm3d,
}
LONG = 2.0  # times the shortest side of a voxel


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage: ``stride`` from the next finer stage, ``kernel`` of its convolutions."""

    stride: tuple[int, ...]
    kernel: tuple[int, ...]

    @property
    def padding(self) -> tuple[int, ...]:
        """The padding that preserves a map's sides."""
        return tuple(k // 2 for k in self.kernel)


def plan_stages(count: int, spacing: Sequence[float]) -> list[Stage]:
    """Plan ``count`` stages for voxels of ``spacing`` (one length per axis, equal for pictures)."""
    lengths = list(spacing)
    stages = []
    for number in range(count):
        long = [length >= LONG * min(lengths) for length in lengths]
        stride = tuple(1 if number == 0 or far else 2 for far in long)
        lengths = [length * step for length, step in zip(lengths, stride, strict=True)]
        kernel = tuple(1 if length >= LONG * min(lengths) else 3 for length in lengths)
        stages.append(Stage(stride, kernel))
    return stages


def normalisation(kind: str, dims: int, channels: int) -> nn.Module:
    """Build batch norm, or instance norm with a learned scale and shift."""
    norm = NORMS[kind, dims]
    return norm(channels) if kind == "batch" else norm(channels, affine=True)


def check_patch_sides(stages: Sequence[Stage], sides: Sequence[int], name: str) -> None:
    """Check that the sides of a 3D patch can be halved by all ``stages``.

    Raises:
        UserError: if not; the message names a patch that fits.
    """
    factors = [math.prod(stage.stride[axis] for stage in stages) for axis in range(len(sides))]
    fitting = [max(round(s / f), 1) * f for s, f in zip(sides, factors, strict=True)]
    if fitting == factors:  # a single voxel cannot be normalised
        fitting[-1] *= 2
    if list(sides) != fitting:
        raise UserError(
            f"data.patch {list(sides)} does not fit a {name} of {len(stages)} stages: use multiples "
            f"of {factors} that leave more than one voxel at the bottom, such as {fitting}."
        )
