"""Labels that look wrong beside the others of their set."""

from collections.abc import Sequence

import numpy as np

from semiseg.evaluation.inspection.findings import Finding, strange
from semiseg.evaluation.inspection.measure import CaseFacts
from semiseg.text import listed, plural

FEWEST = 5  # cases, below which nothing is usual
USUAL = 0.8  # of the labelled cases do it: the others are unusual
RARE = 0.2
VOLUME_DEVIATIONS, VOLUME_FACTOR = 5.0, 2.5
MANY_PIECES, MANY_MORE = 10, 5  # pieces: at least so many, and so many times the usual number
NEARLY_ALL = 0.9
MUCH_OUTSIDE = 0.25


def labels(facts: Sequence[CaseFacts], classes: Sequence[str]) -> list[Finding]:
    """Findings on the labels; ``classes`` with the background first."""
    cases = [item for item in facts if item.case.labelled]
    whole = [
        item for item in cases if item.labelled_share == 1
    ]  # of the others nobody knows what is missing
    return [
        *_empty(whole),
        *_in_no_label(cases, classes),
        *(found for code in range(1, len(classes)) for found in _of_class(whole, code, classes)),
        *_whole(cases),
        *_outside(cases),
        *_swapped(cases, classes),
    ]


def _names(cases: Sequence[CaseFacts]) -> tuple[str, ...]:
    return tuple(item.name for item in cases)


def _empty(cases: Sequence[CaseFacts]) -> list[Finding]:
    empty = [item for item in cases if not item.covered]
    if not empty:
        return []
    sentence = (
        f"{plural(len(empty), 'label')} mark{'s' if len(empty) == 1 else ''} nothing: "
        f"{listed(_names(empty))}; where nothing has been labelled yet, delete the label, so that the image "
        "counts as unlabelled."
    )
    return [Finding("empty-labels", "look", sentence, _names(empty))]


def _in_no_label(cases: Sequence[CaseFacts], classes: Sequence[str]) -> list[Finding]:
    return [
        Finding("class-in-no-label", "look", f"Class '{name}' occurs in no label.")
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
            f"{len(marked):,} have it: {listed(_names(lacking))}; look whether it was forgotten."
        )
        out.append(Finding("class-missing", "look", sentence, _names(lacking)))
    if not having:
        return out
    sizes, unit = volumes(having, code)
    odd = [int(i) for i in strange(sizes, VOLUME_DEVIATIONS, VOLUME_FACTOR, FEWEST)]
    if odd:
        usual = float(np.median(sizes))
        named = listed(f"{having[i].name} ({sizes[i]:.3g} {unit})" for i in odd)
        sentence = (
            f"{name} is unusually large or small in {plural(len(odd), 'label')}: {named}, where "
            f"{usual:.3g} {unit} is the median; look at these labels."
        )
        out.append(Finding("unusual-volume", "look", sentence, _names([having[i] for i in odd])))
    pieces = [item.structures[code - 1].components for item in having]
    most = max(MANY_PIECES, MANY_MORE * float(np.median(pieces)))
    order = [i for i in np.argsort(pieces, kind="stable")[::-1] if pieces[i] >= most]
    if order and len(having) >= FEWEST and len(order) <= RARE * len(having):
        named = listed(f"{having[i].name} ({pieces[i]:,})" for i in order)
        sentence = (
            f"{name} falls into many pieces in {plural(len(order), 'label')}: {named}, where "
            f"{np.median(pieces):.3g} is the median; look for specks."
        )
        out.append(Finding("many-pieces", "look", sentence, _names([having[i] for i in order])))
    return out


def volumes(cases: Sequence[CaseFacts], code: int) -> tuple[list[float], str]:
    """Sizes of one class and their unit.

    Millilitres where all cases have a spacing; of pictures the share of the picture, as they may
    come in several sizes; else voxels.
    """
    counts = [item.structures[code - 1].voxels for item in cases]
    if all(item.millilitres is not None for item in cases):
        return [n * (item.millilitres or 0) for n, item in zip(counts, cases, strict=True)], "ml"
    if all(item.case.slices == 1 for item in cases):
        return [100 * n / item.voxels for n, item in zip(counts, cases, strict=True)], "%"
    return [float(n) for n in counts], "voxels"


def _whole(cases: Sequence[CaseFacts]) -> list[Finding]:
    out = []
    full = [item for item in cases if item.covered >= NEARLY_ALL]
    framed = [item for item in cases if item.borders == 4 and item not in full]
    for chosen, kind, what in (
        (full, "label-covers-everything", "nearly the whole image"),
        (framed, "label-touches-all-borders", "a stretch up to all four borders of the image"),
    ):
        if chosen and (len(cases) < FEWEST or len(chosen) <= RARE * len(cases)):
            sentence = (
                f"{plural(len(chosen), 'label')} mark{'s' if len(chosen) == 1 else ''} {what}: "
                f"{listed(_names(chosen))}; look whether foreground and background are swapped."
            )
            out.append(Finding(kind, "look", sentence, _names(chosen)))
    return out


def _outside(cases: Sequence[CaseFacts]) -> list[Finding]:
    chosen = sorted((c for c in cases if c.outside > MUCH_OUTSIDE), key=lambda c: -c.outside)
    if not chosen or (len(cases) >= FEWEST and len(chosen) > RARE * len(cases)):
        return []
    named = listed(f"{item.name} ({100 * item.outside:.0f}%)" for item in chosen)
    sentence = (
        f"{plural(len(chosen), 'label')} lie{'s' if len(chosen) == 1 else ''} to a good part on the "
        f"empty rim of the image: {named}; look whether the label is shifted or another image's."
    )
    return [Finding("label-outside-the-image", "look", sentence, _names(chosen))]


def _swapped(cases: Sequence[CaseFacts], classes: Sequence[str]) -> list[Finding]:
    """Cases whose 'left X' lies on the other side of 'right X' than in the others.

    Only where affines say which side is which, and only against a clear majority: which side a
    person's left is on is the files' matter.
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
                if abs(away[0]) > np.linalg.norm(away) / 2:  # beside each other, not behind
                    sides[item.name] = bool(away[0] < 0)
        usual = sum(sides.values()) * 2 > len(sides)
        odd = tuple(case for case, side in sides.items() if side != usual)
        if odd and len(sides) >= FEWEST and len(odd) <= RARE * len(sides):
            sentence = (
                f"{classes[left]} and {classes[right]} lie the other way round in "
                f"{plural(len(odd), 'label')} than in the other {len(sides) - len(odd):,}: "
                f"{listed(odd)}; look whether the classes or the file's orientation are swapped."
            )
            out.append(Finding("left-and-right-swapped", "look", sentence, odd))
    return out
