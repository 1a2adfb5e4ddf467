"""Findings on images that differ from the rest of their set."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import Intensity
from semiseg.evaluation.inspection.findings import Finding
from semiseg.evaluation.inspection.measure import HIGH, LOW, MIDDLE, CaseFacts
from semiseg.formats.nifti import orientation
from semiseg.text import listed, plural

APART = 1.5  # largest ratio to the median spacing or size
FEWEST = 5
SCALE_DEVIATIONS, SCALE_FACTOR = 5.0, 4.0


def images(facts: Sequence[CaseFacts], intensity: Intensity) -> list[Finding]:
    """Return findings on orientation, spacing, size and scale of intensities."""
    return [
        *_orientations(facts),
        *_spacings(facts),
        *_sizes(facts),
        *_scales(facts, own=intensity.kind != "window"),
    ]


def orientation_of(item: CaseFacts) -> str:
    """Return the orientation of the file's axes, such as RAS; '' if unknown."""
    return orientation(np.array(item.case.affine)) if item.case.affine is not None else ""


def _orientations(facts: Sequence[CaseFacts]) -> list[Finding]:
    # what determines the view of a network: the axes, and which one is the slice axis
    ways = {item.name: (orientation_of(item), item.case.slice_axis) for item in facts}
    counts = Counter(way for way in ways.values() if way[0])
    if len(counts) < 2:
        return []
    (usual, most), *others = counts.most_common()
    odd = tuple(name for name, way in ways.items() if way[0] and way != usual)
    rest = ", ".join(f"{_way(way, usual)} in {n:,}" for way, n in others)
    sentence = (
        f"The axes of {plural(len(odd), 'image')} point in other directions than those of the other "
        f"{most:,} ({usual[0]} in {most:,}, {rest}): {listed(odd)}; a network sees such images mirrored "
        f"or turned, so save them with the orientation {usual[0]} like the others, except for oblique "
        "scans, where a small tilt changes the letters."
    )
    return [Finding("mixed-orientations", "minor", sentence, odd)]


def _way(way: tuple[str, int], usual: tuple[str, int]) -> str:
    return way[0] if way[1] == usual[1] else f"{way[0]} with slices along axis {way[1]}"


def _spacings(facts: Sequence[CaseFacts]) -> list[Finding]:
    having = [item for item in facts if item.case.spacing is not None]
    out = []
    if having and len(having) < len(facts):
        without = tuple(item.name for item in facts if item.case.spacing is None)
        sentence = (
            f"{plural(len(without), 'image')} ha{'s' if len(without) == 1 else 've'} no spacing while "
            f"{len(having):,} have one: {listed(without)}; give one for all with --spacing, or "
            "leave them out."
        )
        out.append(Finding("spacing-missing", "minor", sentence, without))
    if having:
        steps = np.array([item.case.spacing for item in having])
        out += _apart(having, steps, "mixed-spacings", "spacing", "mm, slice x row x column")
    return out


def _sizes(facts: Sequence[CaseFacts]) -> list[Finding]:
    sides = np.array([item.case.shape[2:] for item in facts], np.float64)
    return _apart(facts, sides, "mixed-sizes", "size", "pixels, rows x columns")


def _apart(
    facts: Sequence[CaseFacts], values: NDArray[np.float64], kind: str, what: str, unit: str
) -> list[Finding]:
    usual = np.median(values, axis=0)
    ratios = np.maximum(values / usual, usual / values).max(axis=1)
    odd = [int(i) for i in np.argsort(-ratios, kind="stable") if ratios[i] > APART]
    if not odd:
        return []

    def worded(row: NDArray[np.float64]) -> str:
        return " x ".join(f"{value:.4g}" for value in row)

    named = listed(f"{facts[i].name} ({worded(values[i])})" for i in odd)
    sentence = (
        f"{plural(len(odd), 'image')} differ{'s' if len(odd) == 1 else ''} in {what} from the median "
        f"({worded(usual)} {unit}) by more than a factor of {APART:g}: {named}; check them, because "
        "their structures have another scale."
    )
    return [Finding(kind, "minor", sentence, tuple(facts[i].name for i in odd))]


def _scales(facts: Sequence[CaseFacts], own: bool) -> list[Finding]:
    """Return findings on images whose intensities have another range or offset.

    Args:
        facts: facts of all cases.
        own: whether each image is normalised by its own values.
    """
    if len(facts) < FEWEST:
        return []
    low = np.array([item.percentiles[LOW] for item in facts], np.float64)
    high = np.array([item.percentiles[HIGH] for item in facts], np.float64)
    middle = np.array([item.percentiles[MIDDLE] for item in facts], np.float64)
    spans = np.maximum(high - low, 1e-6)
    logs = np.log(spans)
    away = np.abs(logs - np.median(logs))
    limit = max(SCALE_DEVIATIONS * float(np.median(away)), float(np.log(SCALE_FACTOR)))
    usual = float(np.median(spans))
    # an offset is unusual relative to the spread of offsets and to the usual range
    shift = np.abs(low - np.median(low))
    moved = max(SCALE_DEVIATIONS * float(np.median(shift)), usual / 4)
    elsewhere = (shift > moved) & (np.abs(middle - np.median(middle)) > usual / 4)
    score = np.maximum(away / limit, np.where(elsewhere, shift / moved, 0))
    odd = [int(i) for i in np.argsort(-score, kind="stable") if score[i] > 1]
    if not odd:
        return []
    named = listed(f"{facts[i].name} ({low[i]:.4g} to {high[i]:.4g})" for i in odd)
    remedy = "check whether they were exported differently"
    if own:
        remedy += " (each image is normalised by its own values, which may be enough)"
    sentence = (
        f"The intensities of {plural(len(odd), 'image')} have another scale than the rest: {named}; "
        f"the median is {np.median(low):.4g} to {np.median(high):.4g}; {remedy}."
    )
    return [Finding("mixed-intensities", "minor", sentence, tuple(facts[i].name for i in odd))]
