"""Findings on structures that are too small for the network's input size."""

from collections.abc import Sequence

from semiseg.evaluation.inspection.findings import Finding
from semiseg.evaluation.inspection.summary import ClassFacts

SMALLEST = 4.0  # pixels: a pixel of a feature map at 1/4
LOWEST_UPPER_BOUND = 0.9


def resolution(classes: Sequence[ClassFacts], size: int) -> list[Finding]:
    """Return findings on structures that are too small for an input of ``size`` pixels."""
    at = f"at {size} x {size} pixels"
    out = []
    for item in classes:
        tiny = item.across is not None and item.across < SMALLEST
        low = item.upper_bound is not None and item.upper_bound < LOWEST_UPPER_BOUND
        if not (tiny or low):
            continue
        said = []
        if tiny:
            said.append(f"is typically {item.across:.1f} pixels wide")
        if low:
            said.append(f"has an upper bound of {item.upper_bound:.3f} for the mean Dice")
        sentence = (
            f"{item.name} {' and '.join(said)} {at}; train on crops at the images' "
            f"own resolution with --set data.crop_size={size}, or at a larger input with --set "
            f"data.size={min(2 * size, 512)}."
        )
        out.append(Finding("tiny-structures" if tiny else "low-upper-bound", "minor", sentence))
    return out
