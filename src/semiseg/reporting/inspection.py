"""The result of an inspection as text, as JSON and as a table of cases."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg.csv_files import write_rows
from semiseg.data.manifest import PARTS, Case, Manifest
from semiseg.data.splits import counted
from semiseg.data.task import Task, first_channel
from semiseg.evaluation.inspection.images import orientation_of
from semiseg.evaluation.inspection.measure import HIGH, LOW, MIDDLE, CaseFacts
from semiseg.evaluation.inspection.summary import ClassFacts, Inspection

MOST_ROWS = 20  # of the table of cases in a terminal


def elements_of(task: Task) -> str:
    """What the images of a task consist of: ``pixels`` or ``voxels``."""
    return "pixels" if task.kind == "pictures" else "voxels"


def task_facts(manifest: Manifest) -> list[tuple[str, str]]:
    """Facts about the task, and the options that were chosen from the data."""
    task = manifest.task
    facts = [
        ("Layout", manifest.layout),
        ("Kind", f"{task.kind}, {task.channels} channel{'s' if task.channels > 1 else ''}"),
        ("Classes", ", ".join(f"{code} {name}" for code, name in enumerate(task.classes))),
        ("Intensities", task.intensity.words),
        ("Median shape", " x ".join(map(str, task.median_shape)) + " (slices x rows x columns)"),
    ]
    if task.spacing is not None:
        spacing = " x ".join(f"{step:g}" for step in task.spacing)
        facts.append(("Median spacing", f"{spacing} mm (slice x row x column)"))
    else:
        unit = elements_of(task)
        facts.append(("Median spacing", f"none in these files, so distances are in {unit}"))
    decided = [(f"Chosen: {d.option}", f"{d.value} ({d.reason})") for d in manifest.decisions]
    return [*facts, ("Split", manifest.split.origin or "as prepared"), *decided]


def count_facts(manifest: Manifest) -> list[tuple[str, str]]:
    """Numbers of all, labelled and unlabelled images, and of each part, with their units."""
    task, cases = manifest.task, manifest.cases

    def said(chosen: Sequence[Case]) -> str:
        return counted(chosen, task.kind) if chosen else "none"

    out = [
        ("All", said(cases)),
        ("Labelled", said([case for case in cases if case.labelled])),
        ("Unlabelled", said([case for case in cases if not case.labelled])),
    ]
    known: set[str] = set()
    for part in PARTS:
        patients = set(manifest.split.part(part))
        inside = [case for case in cases if case.patient in patients]
        bare = sum(not case.labelled for case in inside)
        tail = f", {bare:,} of them unlabelled" if bare else ""
        out.append((f"{part.capitalize()} part", said(inside) + tail))
        known |= patients
    unused = [case for case in cases if case.patient not in known]
    return [*out, ("In no part", said(unused))] if unused else out


def row_of(item: CaseFacts, classes: Sequence[str]) -> dict[str, Any]:
    """One case as a flat row; ``classes`` start with the background. None: unknown."""
    low, high = first_channel(item.case.bounds)
    depth, channels, height, width = item.case.shape
    steps = item.case.spacing or (None, None, None)
    row: dict[str, Any] = {
        "identifier": item.name, "patient": item.case.patient, "part": item.part or None,
        "labelled": item.case.labelled, "slices": depth, "channels": channels, "rows": height,
        "columns": width, "slice_mm": steps[0], "row_mm": steps[1], "column_mm": steps[2],
        "orientation": orientation_of(item) or None,
        "lowest": _short(item.extremes[0]), "percentile_0.5": _short(item.percentiles[LOW]),
        "median": _short(item.percentiles[MIDDLE]), "percentile_99.5": _short(item.percentiles[HIGH]),
        "highest": _short(item.extremes[1]),
        "becomes_0": _short(low), "becomes_1": _short(high),
        "labelled_share": _short(item.labelled_share) if item.case.labelled else None, "digest": item.digest,
    }  # fmt: skip
    for code, name in enumerate(classes[1:], start=1):
        own = item.structures[code - 1] if item.structures else None
        structure = own if own is not None and own.voxels else None
        ml = None if own is None or not item.millilitres else own.voxels * item.millilitres
        row |= {
            f"{name}: share": None if own is None else _short(own.voxels / item.voxels),
            f"{name}: voxels": None if own is None else own.voxels,
            f"{name}: ml": None if ml is None else _short(ml),
            f"{name}: slices": None if own is None else own.slices,
            f"{name}: pieces": None if own is None else own.components,
            f"{name}: across": structure and _short(structure.across),
            f"{name}: upper_bound": structure and _short(structure.upper_bound),
        }
    return row


def _short(value: Any) -> float | None:
    return None if value is None else float(f"{float(value):.6g}")


def content(inspection: Inspection) -> dict[str, Any]:
    """The content of ``inspect.json``."""
    manifest = inspection.manifest
    return {
        "data": str(inspection.place),
        "layout": manifest.layout,
        "task": manifest.task.model_dump(mode="json"),
        "counts": dict(count_facts(manifest)),
        "size": inspection.size,
        "warnings": [dataclasses.asdict(finding) for finding in inspection.findings],
        "notes": list(manifest.notes),
        "classes": [
            {key: _short(value) if isinstance(value, float) else value
             for key, value in dataclasses.asdict(item).items()}
            for item in inspection.classes
        ],
        "upper_bound": {item.name: _short(item.upper_bound) for item in inspection.classes},
        "intensities": {
            word: {key: value if key == "images" else _short(value)
                   for key, value in dataclasses.asdict(facts).items()}
            for word, facts in inspection.intensities.items()
        },
        "cases": [row_of(item, manifest.task.classes) for item in inspection.cases],
    }  # fmt: skip


def write_cases(path: Path, inspection: Inspection) -> None:
    """Write the table of cases as CSV; unknown values are empty.

    Raises:
        OSError: if the file cannot be written.
    """
    rows = [row_of(item, inspection.manifest.task.classes) for item in inspection.cases]
    write_rows(path, [list(rows[0]), *(list(row.values()) for row in rows)])


def lines(inspection: Inspection) -> list[str]:
    """The lines to print. The warnings are last, so that they stay visible in a terminal."""
    manifest = inspection.manifest
    out = [f"{inspection.place}: {manifest.task.name}"]
    out += _aligned([(key, value) for key, value in count_facts(manifest)])
    out += ["", "task"]
    out += _aligned([(key, value) for key, value in task_facts(manifest)])
    out += [f"  note: {note}" for note in manifest.notes]
    out += ["", _title(inspection), *_aligned(class_table(inspection.classes))]
    out += ["", "intensities (medians over images of their percentiles)"]
    out += _aligned(intensity_table(inspection))
    shown = inspection.cases[:MOST_ROWS]
    more = len(inspection.cases) - len(shown)
    tail = f", the first {len(shown)} of {len(inspection.cases):,} (-o writes all)" if more else ""
    out += ["", f"cases{tail}", *_aligned(case_table(shown, manifest.task.classes))]
    return [*out, "", *warning_lines(inspection)]


def warning_lines(inspection: Inspection) -> list[str]:
    """One line per finding, the serious ones first."""
    findings = inspection.findings
    if not findings:
        return ["warnings: none"]
    serious = sum(finding.level == "serious" for finding in findings)
    out = [f"warnings: {len(findings)}" + (f", {serious} of them serious" if serious else "")]
    return out + [
        f"  {'!' if finding.level == 'serious' else '-'} {finding.sentence}" for finding in findings
    ]


def _title(inspection: Inspection) -> str:
    side = f"{inspection.size} x {inspection.size}"
    return f"classes (at an input of {side} pixels, {inspection.size_origin})"


def class_table(classes: Sequence[ClassFacts]) -> list[tuple[str, ...]]:
    """The header, then one row per foreground class."""
    rows: list[tuple[str, ...]] = [
        (
            "class",
            "cases",
            "slices",
            "share",
            "median size",
            "pieces",
            "across",
            "upper bound of Dice",
        )
    ]
    for item in classes:
        size = "-" if item.volume is None else _sized(item.volume, item.unit)
        rows.append(
            (
                item.name, f"{item.cases:,}", f"{item.slices:,}", percent(item.share), size,
                _shown(item.pieces, ".3g"), _shown(item.across, ".1f", " px"),
                _shown(item.upper_bound, ".3f"),
            )
        )  # fmt: skip
    return rows


def intensity_table(inspection: Inspection) -> list[tuple[str, ...]]:
    """The header, then one row each for labelled and unlabelled images."""
    rows: list[tuple[str, ...]] = [
        ("images", "number", "lowest", "0.5%", "50%", "99.5%", "highest")
    ]
    for word, facts in inspection.intensities.items():
        numbers = (facts.lowest, facts.low, facts.middle, facts.high, facts.highest)
        rows.append((word, f"{facts.images:,}", *(f"{number:.4g}" for number in numbers)))
    return rows


def case_table(cases: Sequence[CaseFacts], classes: Sequence[str]) -> list[tuple[str, ...]]:
    """The header, then one row per case with the share of each class; no column without information."""
    rows: list[tuple[str, ...]] = [
        ("case", "patient", "part", "labelled", "shape", "spacing", "bounds", *classes[1:])
    ]
    empty = [
        column
        for column, informative in (
            (1, any(item.case.patient != item.name for item in cases)),
            (5, any(item.case.spacing is not None for item in cases)),
        )
        if not informative
    ]
    for item in cases:
        depth, channels, height, width = item.case.shape
        shape = f"{height} x {width}" if depth == 1 else f"{depth} x {height} x {width}"
        spacing = "-" if item.case.spacing is None else " x ".join(
            f"{step:.3g}" for step in item.case.spacing
        )  # fmt: skip
        shares = [percent(own.voxels / item.voxels) for own in item.structures]
        rows.append(
            (
                item.name, item.case.patient, item.part or "-",
                "yes" if item.case.labelled else "no",
                shape + (f" x {channels}" if channels > 1 else ""), spacing,
                "{:.4g} to {:.4g}".format(*first_channel(item.case.bounds)),
                *(shares or ["-"] * (len(classes) - 1)),
            )
        )  # fmt: skip
    return [tuple(cell for i, cell in enumerate(row) if i not in empty) for row in rows]


def percent(share: float) -> str:
    """``0.0123`` -> ``1.23%``."""
    return f"{100 * share:.3g}%"


def _sized(volume: float, unit: str) -> str:
    return f"{volume:.3g}%" if unit == "%" else f"{volume:,.4g} {unit}"


def _shown(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
