"""Findings on labels that differ from the others of their set."""

from collections.abc import Sequence

import numpy as np

from semiseg.evaluation.inspection.findings import Finding, strange
from semiseg.evaluation.inspection.measure import CaseFacts
from semiseg.evaluation.inspection.outlines import outlines
from semiseg.preparation.label_maps import all_alike
from semiseg.text import listed, plural

FEWEST = 5  # with fewer cases there are no outliers
USUAL = 0.8  # fraction of labelled cases above which the others are unusual
RARE = 0.2
VOLUME_DEVIATIONS, VOLUME_FACTOR = 5.0, 2.5
MANY_PIECES, MANY_MORE = (
    10,
    5,
)  # fewest components to report, absolute and as a factor of the median
NEARLY_ALL = 0.9
MUCH_OUTSIDE = 0.25
MOSTLY = 0.5
FEWEST_INVERTED = 2  # labels that enclose the background, from which masks look inverted


def labels(facts: Sequence[CaseFacts], classes: Sequence[str]) -> list[Finding]:
    """Return findings on the labels; ``classes`` start with the background."""
    cases = [item for item in facts if item.case.labelled]
    whole = [
        item for item in cases if item.labelled_share == 1
    ]  # in partial labels a missing class is no finding
    return [
        *_all_alike(cases),
        *outlines(cases, classes),
        *_empty(whole),
        *_in_no_label(cases, classes),
        *(found for code in range(1, len(classes)) for found in _of_class(whole, code, classes)),
        *_inverted(cases),
        *_whole(cases),
        *_outside(cases),
        *_swapped(cases, classes),
    ]


def _names(cases: Sequence[CaseFacts]) -> tuple[str, ...]:
    return tuple(item.name for item in cases)


def _all_alike(cases: Sequence[CaseFacts]) -> list[Finding]:
    if not all_alike([item.label_map for item in cases if item.label_map is not None]):
        return []
    sentence = (
        f"All {len(cases):,} labels mark the same region, as fields of view do, not structures: check that "
        "they are the right files, and choose others with --labels FOLDER."
    )
    return [Finding("labels-all-alike", "serious", sentence, _names(cases))]


def _empty(cases: Sequence[CaseFacts]) -> list[Finding]:
    empty = [item for item in cases if not item.covered]
    if not empty:
        return []
    sentence = (
        f"{plural(len(empty), 'label')} {'is' if len(empty) == 1 else 'are'} empty: "
        f"{listed(_names(empty))}; if an image has not been labelled yet, delete its label, so that it "
        "is used as an unlabelled image."
    )
    return [Finding("empty-labels", "minor", sentence, _names(empty))]


def _in_no_label(cases: Sequence[CaseFacts], classes: Sequence[str]) -> list[Finding]:
    return [
        Finding(
            "class-in-no-label",
            "minor",
            f"Class '{name}' does not occur in any label: label it, or leave out the class.",
        )
        for code, name in enumerate(classes[1:])
        if not any(item.structures[code].voxels for item in cases)
    ]


def _of_class(cases: Sequence[CaseFacts], code: int, classes: Sequence[str]) -> list[Finding]:
    name, out = classes[code], []
    having = [item for item in cases if item.structures[code - 1].voxels]
    marked = [item for item in cases if item.covered]
    lacking = [item for item in marked if not item.structures[code - 1].voxels]
    if lacking and len(marked) >= FEWEST and len(having) >= USUAL * len(marked):
        sentence = (
            f"{name} is missing in {plural(len(lacking), 'label')} though {len(having):,} of "
            f"{len(marked):,} have it: {listed(_names(lacking))}; check whether it was forgotten."
        )
        out.append(Finding("class-missing", "minor", sentence, _names(lacking)))
    if not having:
        return out
    sizes, unit = volumes(having, code)
    odd = [int(i) for i in strange(sizes, VOLUME_DEVIATIONS, VOLUME_FACTOR, FEWEST)]
    if odd:
        usual = float(np.median(sizes))
        named = listed(f"{having[i].name} ({sizes[i]:.3g} {unit})" for i in odd)
        sentence = (
            f"{name} is unusually large or small in {plural(len(odd), 'label')}: {named}; the median "
            f"is {usual:.3g} {unit}; check these labels."
        )
        out.append(Finding("unusual-volume", "minor", sentence, _names([having[i] for i in odd])))
    pieces = [item.structures[code - 1].components for item in having]
    most = max(MANY_PIECES, MANY_MORE * float(np.median(pieces)))
    order = [i for i in np.argsort(pieces, kind="stable")[::-1] if pieces[i] >= most]
    if order and len(having) >= FEWEST and len(order) <= RARE * len(having):
        named = listed(f"{having[i].name} ({pieces[i]:,})" for i in order)
        sentence = (
            f"{name} has many components in {plural(len(order), 'label')}: {named}; the median is "
            f"{np.median(pieces):.3g}; check for specks."
        )
        out.append(Finding("many-pieces", "minor", sentence, _names([having[i] for i in order])))
    return out


def volumes(cases: Sequence[CaseFacts], code: int) -> tuple[list[float], str]:
    """Return the sizes of one class and their unit.

    Millilitres if all cases have a spacing, percent of the picture for pictures, whose sizes may
    differ, and otherwise voxels.
    """
    counts = [item.structures[code - 1].voxels for item in cases]
    if all(item.millilitres is not None for item in cases):
        return [n * (item.millilitres or 0) for n, item in zip(counts, cases, strict=True)], "ml"
    if all(item.case.slices == 1 for item in cases):
        return [100 * n / item.voxels for n, item in zip(counts, cases, strict=True)], "%"
    return [float(n) for n in counts], "voxels"


def _inverted(cases: Sequence[CaseFacts]) -> list[Finding]:
    """Return a finding if the structures enclose the background in nearly all labels, or in a few."""
    chosen = [item for item in cases if item.enclosed and item.covered > MOSTLY]
    nearly_all = len(chosen) >= max(FEWEST_INVERTED, USUAL * len(cases))
    few = len(cases) >= FEWEST and len(chosen) <= RARE * len(cases)
    if not chosen or not (nearly_all or few):
        return []
    if few:
        sentence = (
            f"In {plural(len(chosen), 'label')} foreground and background look swapped compared with the "
            f"other {len(cases) - len(chosen):,}: {listed(_names(chosen))}; check these masks."
        )
        return [Finding("labels-inverted", "serious", sentence, _names(chosen))]
    sentence = (
        f"In {len(chosen):,} of {plural(len(cases), 'label')} the structures cover most of the image and its "
        "whole border, and the background is a region inside, as if foreground and background were "
        "swapped: check the masks, and invert them if 0 marks the structure."
    )
    return [Finding("labels-inverted", "serious", sentence, _names(chosen))]


def _whole(cases: Sequence[CaseFacts]) -> list[Finding]:
    out = []
    full = [item for item in cases if item.covered >= NEARLY_ALL]
    framed = [item for item in cases if item.borders == 4 and item not in full]
    for chosen, kind, what in (
        (full, "label-covers-everything", "nearly the whole image"),
        (
            framed,
            "label-touches-all-borders",
            "a region that touches all four borders of the image",
        ),
    ):
        if chosen and (len(cases) < FEWEST or len(chosen) <= RARE * len(cases)):
            sentence = (
                f"{plural(len(chosen), 'label')} mark{'s' if len(chosen) == 1 else ''} {what}: "
                f"{listed(_names(chosen))}; check whether foreground and background are swapped."
            )
            out.append(Finding(kind, "minor", sentence, _names(chosen)))
    return out


def _outside(cases: Sequence[CaseFacts]) -> list[Finding]:
    chosen = sorted((c for c in cases if c.outside > MUCH_OUTSIDE), key=lambda c: -c.outside)
    if not chosen or (len(cases) >= FEWEST and len(chosen) > RARE * len(cases)):
        return []
    named = listed(f"{item.name} ({100 * item.outside:.0f}%)" for item in chosen)
    sentence = (
        f"{plural(len(chosen), 'label')} cover{'s' if len(chosen) == 1 else ''} much of the empty "
        f"border of the image: {named}; check whether the label is shifted or belongs to another image."
    )
    return [Finding("label-outside-the-image", "minor", sentence, _names(chosen))]


def _swapped(cases: Sequence[CaseFacts], classes: Sequence[str]) -> list[Finding]:
    """Return findings on cases where 'left X' and 'right X' are on opposite sides to the others.

    Only cases with an affine are compared, and only with a clear majority, because the convention of
    the files is unknown.
    """
    known = {name.lower(): code for code, name in enumerate(classes) if code}
    out = []
    for name, left in known.items():
        right = known.get(name.replace("left", "right")) if "left" in name else None
        if right is None:
            continue
        sides = {}
        for item in cases:
            one, other = item.structures[left - 1].centre, item.structures[right - 1].centre
            if item.case.affine is not None and one is not None and other is not None:
                away = np.subtract(one, other)
                if (
                    abs(away[0]) > np.linalg.norm(away) / 2
                ):  # side by side, not one behind the other
                    sides[item.name] = bool(away[0] < 0)
        usual = sum(sides.values()) * 2 > len(sides)
        odd = tuple(case for case, side in sides.items() if side != usual)
        if odd and len(sides) >= FEWEST and len(odd) <= RARE * len(sides):
            sentence = (
                f"{classes[left]} and {classes[right]} are swapped in "
                f"{plural(len(odd), 'label')} compared with the other {len(sides) - len(odd):,}: "
                f"{listed(odd)}; check the classes and the file's orientation."
            )
            out.append(Finding("left-and-right-swapped", "minor", sentence, odd))
    return out
