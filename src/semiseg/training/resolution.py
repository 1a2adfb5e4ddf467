"""Crops at the images' own resolution instead of resized slices, where resizing loses structures."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from semiseg.config import Resolved
from semiseg.data.evenly_spaced import evenly_spaced
from semiseg.data.manifest import Case, PreparedData
from semiseg.evaluation.resize_upper_bound import resize_upper_bound
from semiseg.evaluation.width import mean_width
from semiseg.preparation.auto_config import SIZE
from semiseg.training.configuration import with_value

CROP_SIZE = "data.crop_size"
THINNEST = 2.0  # pixels of the input; at 2.3 crops gain nothing (benchmarks/README.md)
LOWEST_UPPER_BOUND = 0.9  # Dice after resizing
MOST_CASES, MOST_SLICES = 8, 16  # a few seconds at most; more hardly change the result


def choose_crops(resolved: Resolved, data: PreparedData, labelled: Sequence[Case]) -> Resolved:
    """Set ``data.crop_size`` if resizing to ``data.size`` loses structures of the labelled cases.

    That is so if a class is thinner than `THINNEST` pixels of the input, or if resizing limits its Dice
    to less than `LOWEST_UPPER_BOUND`. Crops have the side that slices would have, so that a step costs
    the same. Only labels of the labelled training cases are read.

    Args:
        resolved: the configuration.
        data: the prepared data.
        labelled: the labelled training cases.
    """
    size = resolved.config.data.size
    if resolved.config.data.dimensions == 3 or resolved.config.data.crop_size is not None:
        return resolved
    reason = lost_structures(data, labelled, size)
    if reason is None:
        return resolved
    out = with_value(resolved, "data", "crop_size", size, reason)
    origins = {key: origin for key, origin in out.origins.items() if key != SIZE}
    return dataclasses.replace(out, origins=origins)


def lost_structures(data: PreparedData, labelled: Sequence[Case], size: int) -> str | None:
    """Describe the class that resizing to ``size`` affects most; None if all are resolved.

    Args:
        data: the prepared data.
        labelled: cases with labels.
        size: side of the network's square input, in pixels.
    """
    widths: dict[str, list[float]] = {name: [] for name in data.task.foreground}
    bounds: dict[str, list[float]] = {name: [] for name in data.task.foreground}
    for number in evenly_spaced(len(labelled), MOST_CASES):
        case = labelled[number]
        if max(case.shape[2:]) <= size:
            continue
        scale = size / math.sqrt(case.shape[2] * case.shape[3])
        slices = case.labelled_slices
        chosen = [slices[i] for i in evenly_spaced(len(slices), MOST_SLICES)]
        label = np.stack([data.label_slice(case.identifier, index) for index in chosen])
        for name, bound in resize_upper_bound([label], size, data.task.classes).items():
            if bound is not None:
                bounds[name].append(bound)
        for code, name in enumerate(data.task.foreground, start=1):
            found = [mean_width(plane == code) for plane in label]
            widths[name] += [scale * width for width in found if width is not None]
    thin = {name: float(np.median(own)) for name, own in widths.items() if own}
    low = {name: float(np.mean(own)) for name, own in bounds.items() if own}
    at = f"the labels: resized to {size} x {size}"
    if thin and min(thin.values()) < THINNEST:
        name = min(thin, key=thin.__getitem__)
        return f"{at}, {name} would be {thin[name]:.1f} pixels wide"
    if low and min(low.values()) < LOWEST_UPPER_BOUND:
        name = min(low, key=low.__getitem__)
        return f"{at}, {name} could reach a Dice of {low[name]:.2f} at most"
    return None
