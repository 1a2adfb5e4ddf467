"""How a data set is trained on, decided from its fingerprint; each decision gives its reason.

Presets and ``--set`` come before all of it. Rules and figures are explained in docs/decisions.md.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from semiseg.data.fingerprint import Fingerprint
from semiseg.data.manifest import Decision, Manifest
from semiseg.data.task import Intensity, Task
from semiseg.errors import UserError

SMALLEST, LARGEST = 64, 256
STEP = 32  # a U-Net of five stages and a Swin-Unet of four both halve such a side evenly

LONG = 2.0  # slice distance by pixel spacing: the networks' own limit for pooling along the slices
THICK = 24  # slices below which 3D networks have little to halve
CUBE, LARGEST_CUBE = 16, 96  # sides of patches
SMALL_VOLUME = 64**3  # voxels whose patches a CPU takes in about a second
UNLIKE = 1.2  # times the smallest spacing: volumes are resampled

SIZE = "data.size"


def parse_intensity(text: str) -> Intensity:
    """``minmax``, ``percentile``, ``zscore`` or ``window:LOW:HIGH``.

    Raises:
        UserError: for anything else.
    """
    window = re.fullmatch(r"window:(-?[\d.]+):(-?[\d.]+)", text)
    try:
        if window and float(window[1]) < float(window[2]):
            return Intensity(kind="window", low=float(window[1]), high=float(window[2]))
    except ValueError:
        pass
    if text == "percentile":
        return Intensity(kind="percentile", low=0.5, high=99.5)
    if text == "minmax":
        return Intensity(kind="minmax")
    if text == "zscore":
        return Intensity(kind="zscore")
    raise UserError(
        f"--intensity {text}: take minmax, percentile, zscore or window:LOW:HIGH, such as "
        "window:-125:275."
    )


def decide_intensity(suggested: Intensity, found: Fingerprint) -> tuple[Intensity, str]:
    """How intensities are scaled where the layout leaves it to the data, and why.

    Args:
        suggested: by the layout, for images that are no CT.
        found: of the whole set.
    """
    if found.hounsfield and found.foreground is not None:
        of_class = found.foreground[0].percentiles
        low, high = float(round(of_class[0])), float(round(of_class[-1]))
        if high > low:
            return Intensity(kind="window", low=low, high=high), (
                "whole numbers with air and bone are a CT: its window is where the classes lie (0.5 "
                "to 99.5 percent of their voxels)"
            )
    return suggested, (
        "not seen to be a CT (whole numbers with air and bone), so each image by its own percentiles; "
        "--intensity window:LOW:HIGH sets one scale"
    )


def decide(task: Task, found: Fingerprint | None = None) -> tuple[Decision, ...]:
    """What the data say about the configuration; without a fingerprint about slices alone.

    Decisions on volumes are for methods that train on them, and for machines that can.
    """
    height, width = task.median_shape[1:]
    side = max(height, width)
    size = min(max(round(side / STEP) * STEP, SMALLEST), LARGEST)
    why = f"the median {'slice' if task.kind == 'volumes' else 'picture'} is {height} x {width}"
    if side > LARGEST + STEP / 2:
        why += f"; larger than {LARGEST} costs more than it gives"
    elif side < SMALLEST - STEP / 2:
        why += f"; networks need {SMALLEST} to halve four times"
    slices = Decision(option=SIZE, value=size, reason=why)
    return (slices, *_volumes(task, found)) if found is not None else (slices,)


def _volumes(task: Task, found: Fingerprint) -> list[Decision]:
    """Use 3D when voxels are nearly isotropic and volumes are deep."""
    shape, spacing = task.median_shape, found.spacing
    if (
        task.kind == "pictures"
        or spacing is None
        or found.anisotropy is None
        or found.anisotropy >= LONG
        or min(shape) < THICK
    ):
        return []
    patch = [min(max(round(n / CUBE) * CUBE, CUBE), LARGEST_CUBE) for n in shape]
    few = "a batch is a few patches"
    values: list[tuple[str, Any, str]] = [
        (
            "data.dimensions", 3,
            f"voxels are nearly cubes (slices {found.anisotropy:.2g} times as far apart as pixels) and "
            f"a volume has {shape[0]} slices",
        ),
        ("data.patch", patch, f"the median volume is {' x '.join(map(str, shape))}"),
        ("training.batch_size", 4, few), ("training.labelled_batch_size", 2, few),
        ("networks.norm", "instance", few),
    ]  # fmt: skip
    if any(high > UNLIKE * low for low, high in zip(spacing.low, spacing.high, strict=True)):
        middle = [float(f"{step:.4g}") for step in spacing.median]
        values.append(("data.spacing", middle, "spacings differ: all become the median"))
    return [Decision(option=option, value=value, reason=why) for option, value, why in values]


def suit(
    decisions: Sequence[Decision], task: Task, method: str, step: int, *, volumes: bool, small: bool
) -> list[Decision]:
    """The decisions that a method can take, and a machine afford.

    Args:
        decisions: of `decide`.
        task: what they are about.
        method: its name.
        step: sides of slices that it takes are multiples of it.
        volumes: whether it, and the preset in use, take volumes.
        small: there is no GPU.
    """
    affordable = not small or math.prod(task.median_shape) <= SMALL_VOLUME
    suited = []
    for decision in decisions:
        if "." not in decision.option or (decision.option != SIZE and not (volumes and affordable)):
            continue
        if decision.option == SIZE and decision.value % step:
            size = in_steps(decision.value, step)
            reason = f"{decision.reason}, in steps of {step} for {method}"
            decision = decision.model_copy(update={"value": size, "reason": reason})
        suited.append(decision)
    return suited


def in_steps(size: int, step: int) -> int:
    """The multiple of ``step`` that is nearest to ``size``, and at least one step."""
    return max(round(size / step), 1) * step


def size_of(data: Manifest) -> int:
    """The side of a slice's input that the data suggest."""
    decisions = data.decisions or decide(data.task)
    return next(int(d.value) for d in decisions if d.option == SIZE)
