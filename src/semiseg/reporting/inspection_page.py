"""A self-contained HTML page about an inspection: warnings, tables, histograms and a contact sheet."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from semiseg.data.evenly_spaced import evenly_spaced
from semiseg.data.manifest import PreparedData
from semiseg.data.task import first_channel
from semiseg.errors import memory_for
from semiseg.evaluation.inspection.findings import Finding
from semiseg.evaluation.inspection.labels import volumes
from semiseg.evaluation.inspection.measure import HIGH, LOW, CaseFacts
from semiseg.evaluation.inspection.summary import Inspection
from semiseg.reporting import figures
from semiseg.reporting.facts import is_phantom
from semiseg.reporting.inspection import (
    case_table,
    class_table,
    count_facts,
    elements_of,
    intensity_table,
    task_facts,
)
from semiseg.reporting.overlays import data_uri, overlay
from semiseg.reporting.page import render

LABELLED_SHOWN, UNLABELLED_SHOWN = 24, 12
CASES_SHOWN, PAIRS_SHOWN = 6, 6  # per warning
ROWS_SHOWN = 500
SIDE = 220  # of a tile, in pixels


def inspection_page(inspection: Inspection, data: PreparedData) -> str:
    """The page as HTML.

    Args:
        inspection: the facts and warnings.
        data: the prepared data, for the pictures.
    """
    manifest, classes = inspection.manifest, inspection.manifest.task.classes
    tiles = _Tiles(inspection, data)
    shown = inspection.cases[:ROWS_SHOWN]
    return render(
        "inspection.html.j2",
        title=f"Inspection of {manifest.task.name}",
        phantom=is_phantom(manifest.task.name),
        counts=count_facts(manifest),
        task=task_facts(manifest),
        notes=manifest.notes,
        findings=[_shown(finding, tiles) for finding in inspection.findings],
        serious=sum(finding.level == "serious" for finding in inspection.findings),
        size=inspection.size,
        size_origin=inspection.size_origin,
        elements=elements_of(manifest.task),
        class_table=class_table(inspection.classes),
        intensity_table=intensity_table(inspection),
        histograms=_histograms(inspection),
        classes=list(zip(figures.class_colours(manifest.task), classes[1:], strict=True)),
        sheets=[
            (word, [tiles.of(item.name) for item in chosen], len(all_of))
            for word, most, all_of in (
                ("labelled", LABELLED_SHOWN, [c for c in inspection.cases if c.case.labelled]),
                ("unlabelled", UNLABELLED_SHOWN,
                 [c for c in inspection.cases if not c.case.labelled]),
            )
            if (chosen := spread(all_of, most))
        ],
        case_table=case_table(shown, classes),
        left=len(inspection.cases) - len(shown),
    )  # fmt: skip


def spread(cases: Sequence[CaseFacts], most: int) -> list[CaseFacts]:
    """At most ``most`` of ``cases``, evenly spaced."""
    return [cases[place] for place in evenly_spaced(len(cases), most)]


@dataclasses.dataclass(frozen=True)
class Tile:
    """One slice as a picture, with its caption."""

    uri: str
    name: str
    note: str


class _Tiles:
    """Draws the picture of each case once, and reads only the slice that it shows."""

    def __init__(self, inspection: Inspection, data: PreparedData) -> None:
        self.data = data
        self.facts = {item.name: item for item in inspection.cases}
        self.made: dict[str, Tile] = {}

    def of(self, name: str) -> Tile:
        """The slice of a case with the most labelled pixels, with the outlines of its structures."""
        if name not in self.made:
            with memory_for(name, "draw it"):
                self.made[name] = self._drawn(name)
        return self.made[name]

    def _drawn(self, name: str) -> Tile:
        item = self.facts[name]
        depth, _, height, width = item.case.shape
        task, steps = self.data.task, item.case.spacing
        grey = (float(item.percentiles[LOW]), float(item.percentiles[HIGH]))
        if task.intensity.kind == "window":
            grey = first_channel(item.case.bounds)
        label = self.data.label(name)[item.shown] if item.case.labelled else None
        if label is not None:
            label = np.where(label < len(task.classes), label, np.uint8(0))
        picture = overlay(
            np.asarray(self.data.image(name)[item.shown]), label,
            (steps[1], steps[2]) if steps else (1.0, 1.0), (0, height, 0, width),
            grey if grey[1] > grey[0] else (grey[0], grey[0] + 1), side=SIDE, fill=0.12,
            colours=figures.class_colours(task),
        )  # fmt: skip
        notes = [f"slice {item.shown + 1} of {depth}"] if depth > 1 else []
        notes += [item.part] if item.part else []
        return Tile(data_uri(picture), name, ", ".join(notes))


def _shown(finding: Finding, tiles: _Tiles) -> dict[str, Any]:
    pairs = [(tiles.of(one), tiles.of(other)) for one, other in finding.pairs[:PAIRS_SHOWN]]
    cases = [] if pairs else [tiles.of(name) for name in finding.cases[:CASES_SHOWN]]
    return {
        "level": finding.level, "sentence": finding.sentence, "pairs": pairs, "cases": cases,
        "all": finding.cases, "left": len(finding.pairs) - len(pairs) if pairs else 0,
    }  # fmt: skip


def _histograms(inspection: Inspection) -> list[dict[str, Any]]:
    """Histograms of intensities, class sizes, and spacings and shapes that vary."""
    out: list[dict[str, Any]] = [_intensities(inspection)]
    labelled = [item for item in inspection.cases if item.case.labelled]
    for item in inspection.classes:
        having = [case for case in labelled if case.structures[item.code - 1].voxels]
        values, unit = volumes(having, item.code)
        if len(values) > 1:
            wide = max(values) > 20 * min(values)
            label = f"{item.name}, {'% of the picture' if unit == '%' else unit}"
            out.append(_chart({label: values}, label, f"Size of {item.name}", wide))
    axes = ("slice", "row", "column")
    for axis, name in enumerate(axes):
        steps = [c.case.spacing[axis] for c in inspection.cases if c.case.spacing is not None]
        if steps and max(steps) > 1.01 * min(steps):
            out.append(_chart({name: steps}, "mm", f"Spacing, {name}"))
    for axis, name in ((0, "slices"), (2, "rows"), (3, "columns")):
        sides = [c.case.shape[axis] for c in inspection.cases]
        if max(sides) > min(sides):
            out.append(_chart({name: sides}, name, f"Number of {name}"))
    return out


def _intensities(inspection: Inspection) -> dict[str, Any]:
    """Intensities as stored if all images share one window, else as scaled for the network."""
    raw = inspection.manifest.task.intensity.kind == "window"
    groups: dict[str, Sequence[float]] = {}
    for word, labelled in (("labelled", True), ("unlabelled", False)):
        values = []
        for item in inspection.cases:
            if item.case.labelled is labelled:
                low, high = (0.0, 1.0) if raw else first_channel(item.case.bounds)
                inner = item.percentiles[LOW : HIGH + 1]
                values.append((inner - low) / max(high - low, 1e-12))
        if values:
            pooled = np.concatenate(values)
            groups[word] = (pooled if raw else np.clip(pooled, 0, 1)).tolist()
    label = "stored intensity" if raw else "intensity, scaled for the network"
    return _chart(groups, label, "Intensities")


def _chart(
    groups: dict[str, Sequence[float]],
    label: str,
    title: str,
    logarithmic: bool = False,
) -> dict[str, Any]:
    chart = figures.histogram(groups, list(range(len(groups))), label, logarithmic=logarithmic)
    legend = list(enumerate(groups)) if len(groups) > 1 else []
    return {"title": title, "chart": Markup(chart), "legend": legend}
