"""Findings on structures that are drawn as outlines instead of filled masks."""

from collections.abc import Sequence

from semiseg.evaluation.inspection.findings import Finding
from semiseg.evaluation.inspection.measure import CaseFacts
from semiseg.text import joined, listed, plural


def outlines(cases: Sequence[CaseFacts], classes: Sequence[str]) -> list[Finding]:
    """Return findings on labels with closed lines: serious if most labels of a class have them.

    Args:
        cases: facts of the labelled cases.
        classes: names, background first.
    """
    most: dict[str, list[CaseFacts]] = {}
    some: dict[str, list[CaseFacts]] = {}
    having: dict[str, int] = {}
    for code, name in enumerate(classes[1:]):
        own = [item for item in cases if item.structures[code].voxels]
        lines = [item for item in own if item.structures[code].outline or item.case.outlined]
        having[name] = len(own)
        if lines:
            (most if 2 * len(lines) > len(own) else some)[name] = lines
    out = []
    if most:
        counts = joined(
            [f"{len(lines):,} of {having[name]:,} labels of {name}" for name, lines in most.items()]
        )
        sentence = (
            f"In {counts} a thin closed line surrounds background, as if outlines were drawn and not "
            "filled, so a network learns the lines alone: fill them (for example with "
            "scipy.ndimage.binary_fill_holes, or 'Fill Holes' in ImageJ) and prepare the data again, unless "
            "the structure itself is a thin wall."
        )
        out.append(Finding("outlines", "serious", sentence, _names(most)))
    if some:
        cases_of = _names(some)
        sentence = (
            f"In {plural(len(cases_of), 'label')} {joined(list(some))} is a thin closed line that surrounds "
            f"background, unlike in the others: {listed(cases_of)}; fill the line if an outline was drawn "
            "there."
        )
        out.append(Finding("outlines-in-some-labels", "minor", sentence, cases_of))
    return out


def _names(found: dict[str, list[CaseFacts]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.name for lines in found.values() for item in lines))
