"""Patients whose names follow from the names of all images, and change when images are added.

``p07_left`` is a patient until ``p07_right`` appears; then both are images of ``p07``.
"""

import dataclasses
from collections.abc import Mapping

from semiseg.data.manifest import PARTS, Split
from semiseg.preparation.changes import Before
from semiseg.preparation.scanning import Plan
from semiseg.training.run_output import Round

Names = Mapping[str, str]
"""Earlier name -> present name of every patient of the earlier data."""


def present_names(before: Before | None, plan: Plan) -> Names:
    """The present name of each earlier patient, by the images that both have."""
    if before is None:
        return {}
    now = {case.identifier: case.patient for case in plan.scan.cases}
    return {c.patient: now.get(c.identifier, c.patient) for c in before.manifest.cases}


def with_present_names(before: Before, names: Names) -> Before:
    """The earlier data with the present names. A patient who was in several parts trains."""
    manifest = before.manifest
    part_of: dict[str, str] = {}
    for part in PARTS:
        for patient in manifest.split.part(part):
            new = names.get(patient, patient)
            part_of[new] = part if part_of.get(new, part) == part else "train"
    parts = {name: tuple(p for p, own in part_of.items() if own == name) for name in PARTS}
    split = Split(**parts, origin=manifest.split.origin)
    cases = tuple(
        case.model_copy(update={"patient": names.get(case.patient, case.patient)})
        for case in manifest.cases
    )
    changed = manifest.model_copy(update={"split": split, "cases": cases})
    return dataclasses.replace(before, manifest=changed)


def folds_with_present_names(last: Round, names: Names) -> Round:
    """The earlier round with the present names in its folds; a patient of two folds stays in the first."""
    seen: set[str] = set()
    folds = []
    for fold in last.folds:
        own = dict.fromkeys(names.get(patient, patient) for patient in fold)
        folds.append(tuple(patient for patient in own if patient not in seen))
        seen.update(own)
    return last.model_copy(update={"folds": tuple(fold for fold in folds if fold)})
