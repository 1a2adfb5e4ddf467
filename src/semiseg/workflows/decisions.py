"""How a data set is trained on, decided from its fingerprint; each decision gives its reason.

Presets and ``--set`` come before all of it. Rules and figures are explained in docs/your-own-data.md.
"""

import re
from collections.abc import Mapping

from semiseg.data.fingerprint import Fingerprint
from semiseg.data.manifest import Decision, Manifest
from semiseg.data.task import Intensity, Task
from semiseg.errors import UserError

SMALLEST, LARGEST = 64, 256
STEP = 32  # a U-Net of five levels and a Swin-Unet of four stages both halve such a side evenly

SMALL_PRESETS: Mapping[str, str] = {"cross-level": "cross-level-cpu", "plgcl": "plgcl-cpu"}
SMALL_PRESET = "mcsc-cpu"


def small_preset(method: str) -> str:
    """The preset for a machine without a GPU."""
    return SMALL_PRESETS.get(method, SMALL_PRESET)


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
    return suggested, "no absolute scale such as a CT's: each image by its own percentiles"


def decide(task: Task) -> tuple[Decision, ...]:
    """What the data say about the configuration."""
    height, width = task.median_shape[1:]
    side = max(height, width)
    size = min(max(round(side / STEP) * STEP, SMALLEST), LARGEST)
    why = f"the median {'slice' if task.kind == 'volumes' else 'picture'} is {height} x {width}"
    if side > LARGEST + STEP / 2:
        why += f"; larger than {LARGEST} costs more than it gives"
    elif side < SMALLEST - STEP / 2:
        why += f"; networks need {SMALLEST} to halve four times"
    return (Decision(option="data.size", value=size, reason=why),)


def size_of(data: Manifest) -> int:
    """The side of a slice's input that the data suggest."""
    decisions = data.decisions or decide(data.task)
    return next(int(d.value) for d in decisions if d.option == "data.size")
