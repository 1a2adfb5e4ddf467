"""Defaults of the configuration, derived from a data set's fingerprint, each with a reason.

Presets and ``--set`` override them. docs/decisions.md explains the rules and figures.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from semiseg.data.fingerprint import Fingerprint
from semiseg.data.manifest import Decision, Manifest
from semiseg.data.task import Intensity, Task, window_between
from semiseg.errors import UserError

SMALLEST, LARGEST = 64, 256
STEP = 32  # divisible by the strides of a U-Net of five stages and a Swin-Unet of four

LONG = (
    2.0  # ratio of slice distance to pixel spacing above which networks do not pool across slices
)
THICK = 24  # slices; with fewer, a 3D network has little to pool
CUBE, LARGEST_CUBE = 16, 96  # sides of patches
SMALL_VOLUME = 64**3  # voxels; a CPU needs about a second per step for such volumes
UNLIKE = 1.2  # ratio of the largest to the smallest spacing above which volumes are resampled

SIZE = "data.size"


def parse_intensity(text: str) -> Intensity:
    """``minmax``, ``percentile``, ``zscore`` or ``window:LOW:HIGH``.

    Raises:
        UserError: for anything else.
    """
    window = re.fullmatch(r"window:(-?[0-9.]{1,30}):(-?[0-9.]{1,30})", text)
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
        f"--intensity {text}: use minmax, percentile, zscore or window:LOW:HIGH, for example "
        "window:-125:275."
    )


def decide_intensity(suggested: Intensity, found: Fingerprint) -> tuple[Intensity, str]:
    """The scaling of intensities by the data, and the reason.

    Args:
        suggested: scaling by the layout, for images that are not CT.
        found: fingerprint of the data set.
    """
    if found.hounsfield and found.foreground is not None:
        of_class = found.foreground[0].percentiles
        return window_between(of_class[0], of_class[-1]), (
            "whole numbers with air and bone indicate a CT: the window is that of the classes (0.5 "
            "to 99.5 percent of their voxels in the training part; each training uses that of its own "
            "labelled cases)"
        )
    return suggested, (
        "not recognised as CT (whole numbers with air and bone), so each image is scaled by its own "
        "percentiles; --intensity window:LOW:HIGH sets a common scale"
    )


def decide(task: Task, found: Fingerprint | None = None) -> tuple[Decision, ...]:
    """Decisions on the configuration; without a fingerprint, only on slices.

    Decisions on volumes are for methods and machines that can train in 3D.
    """
    height, width = task.median_shape[1:]
    side = max(height, width)
    size = min(max(round(side / STEP) * STEP, SMALLEST), LARGEST)
    why = f"the median {'slice' if task.kind == 'volumes' else 'picture'} is {height} x {width}"
    if side > LARGEST + STEP / 2:
        why += f"; more than {LARGEST} is not worth the time"
    elif side < SMALLEST - STEP / 2:
        why += f"; networks need {SMALLEST} to pool four times"
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
    few = "batches of patches are small"
    values: list[tuple[str, Any, str]] = [
        (
            "data.dimensions", 3,
            f"voxels are nearly isotropic (slices {found.anisotropy:.2g} times as far apart as pixels) "
            f"and a volume has {shape[0]} slices",
        ),
        ("data.patch", patch, f"the median volume is {' x '.join(map(str, shape))}"),
        ("training.batch_size", 4, few), ("training.labelled_batch_size", 2, few),
        ("networks.norm", "instance", few),
    ]  # fmt: skip
    if any(high > UNLIKE * low for low, high in zip(spacing.low, spacing.high, strict=True)):
        middle = [float(f"{step:.4g}") for step in spacing.median]
        values.append(("data.spacing", middle, "spacings differ: all volumes get the median"))
    return [Decision(option=option, value=value, reason=why) for option, value, why in values]


def applicable_decisions(
    decisions: Sequence[Decision], task: Task, method: str, step: int, *, volumes: bool, small: bool
) -> list[Decision]:
    """The decisions that apply to a method and a machine.

    Args:
        decisions: the result of `decide`.
        task: the task of the data set.
        method: name of the method.
        step: the method needs sides of slices that are multiples of it.
        volumes: whether the method and the preset can train in 3D.
        small: whether there is no GPU.
    """
    affordable = not small or math.prod(task.median_shape) <= SMALL_VOLUME
    suited = []
    for decision in decisions:
        if "." not in decision.option or (decision.option != SIZE and not (volumes and affordable)):
            continue
        value = decision.value
        if decision.option == SIZE and isinstance(value, int) and value % step:
            size = in_steps(value, step)
            reason = f"{decision.reason}, in steps of {step} for {method}"
            decision = decision.model_copy(update={"value": size, "reason": reason})
        suited.append(decision)
    return suited


def in_steps(size: int, step: int) -> int:
    """The multiple of ``step`` nearest to ``size``, at least ``step``."""
    return max(round(size / step), 1) * step


def size_of(data: Manifest) -> int:
    """The default side of the network's input for slices of the data set."""
    decisions = data.decisions or decide(data.task)
    found = (d.value for d in (*decisions, *decide(data.task)) if d.option == SIZE)
    return next(value for value in found if isinstance(value, int))
