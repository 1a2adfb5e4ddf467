"""The result of an inspection."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semiseg.data.manifest import Manifest
from semiseg.evaluation.inspection.findings import Finding
from semiseg.evaluation.inspection.labels import volumes
from semiseg.evaluation.inspection.measure import HIGH, LOW, MIDDLE, CaseFacts


@dataclasses.dataclass(frozen=True)
class ClassFacts:
    """One class over all labelled cases.

    Attributes:
        name: name of the class.
        code: code of the class in labels.
        cases: number of labelled cases that contain it.
        slices: number of their slices that contain it.
        share: fraction of all labelled voxels.
        volume: median over the cases that contain it, in ``unit``.
        unit: ml, % of the picture, or voxels.
        pieces: median number of connected components.
        across: median of the typical width in pixels at the input size.
        upper_bound: mean upper bound of Dice at the input size.
    """

    name: str
    code: int
    cases: int
    slices: int
    share: float
    volume: float | None
    unit: str
    pieces: float | None
    across: float | None
    upper_bound: float | None


@dataclasses.dataclass(frozen=True)
class IntensityFacts:
    """Medians over images of their percentiles, and the extremes of all images."""

    images: int
    lowest: float
    low: float
    middle: float
    high: float
    highest: float


@dataclasses.dataclass(frozen=True)
class Inspection:
    """The measurements and findings of a data set.

    Attributes:
        place: path of the inspected data as given.
        manifest: task, split, cases and notes of the preparation.
        size: side of the network's input in pixels.
        size_origin: origin of ``size``.
        cases: cases in the manifest's order.
        classes: foreground classes by code.
        intensities: facts of 'labelled' and 'unlabelled' images, if there are any.
        findings: findings, serious ones first.
    """

    place: Path
    manifest: Manifest
    size: int
    size_origin: str
    cases: tuple[CaseFacts, ...]
    classes: tuple[ClassFacts, ...]
    intensities: dict[str, IntensityFacts]
    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        serious = sum(finding.level == "serious" for finding in self.findings)
        return (
            f"Inspection(place={str(self.place)!r}, cases={len(self.cases)}, size={self.size}, "
            f"findings={len(self.findings)}, serious={serious})"
        )


def class_facts(cases: Sequence[CaseFacts], classes: Sequence[str]) -> tuple[ClassFacts, ...]:
    """Return the facts of every foreground class; ``classes`` start with the background."""
    labelled = [item for item in cases if item.case.labelled]
    total = sum(item.voxels * item.labelled_share for item in labelled)
    out = []
    for code, name in enumerate(classes[1:], start=1):
        having = [item for item in labelled if item.structures[code - 1].voxels]
        own = [item.structures[code - 1] for item in having]
        sizes, unit = volumes(having, code)
        out.append(
            ClassFacts(
                name=name, code=code, cases=len(having), slices=sum(s.slices for s in own),
                share=sum(s.voxels for s in own) / max(total, 1.0),
                volume=_median(sizes), unit=unit,
                pieces=_median([s.components for s in own]),
                across=_median([s.across for s in own if s.across is not None]),
                upper_bound=float(np.mean([s.upper_bound for s in own])) if own else None,
            )
        )  # fmt: skip
    return tuple(out)


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def intensity_facts(cases: Sequence[CaseFacts]) -> dict[str, IntensityFacts]:
    """Return the facts of labelled and of unlabelled images."""
    out = {}
    for word, labelled in (("labelled", True), ("unlabelled", False)):
        chosen = [item for item in cases if item.case.labelled is labelled]
        if chosen:
            low, middle, high = np.median(
                [i.percentiles[[LOW, MIDDLE, HIGH]] for i in chosen], axis=0
            )
            out[word] = IntensityFacts(
                len(chosen), min(i.extremes[0] for i in chosen), float(low), float(middle),
                float(high), max(i.extremes[1] for i in chosen),
            )  # fmt: skip
    return out
