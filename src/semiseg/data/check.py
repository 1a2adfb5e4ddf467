"""Validation of a prepared data set against its manifest."""

from pathlib import Path

import numpy as np

from semiseg.data.manifest import PARTS, Case, PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError


def check_data(folder: Path | str) -> PreparedData:
    """Read every case, one at a time, and compare it with the manifest.

    Returns:
        The data set, opened.

    Raises:
        UserError: for duplicate identifiers, a patient in two parts of the split or without cases,
            arrays that are missing, damaged or superfluous, wrong shapes, intensities that are not
            finite, or class codes without a class.
    """
    data = PreparedData(folder)
    path = data.folder / "manifest.json"
    if len(data.cases) < len(data.manifest.cases):
        raise UserError(f"{path} names a case twice: prepare the data again.")
    known = {case.patient for case in data.manifest.cases}
    seen: dict[str, str] = {}
    for part in PARTS:
        for patient in data.manifest.split.part(part):
            other = seen.setdefault(patient, part)
            if other != part:
                raise UserError(
                    f"{path}: '{patient}' is in {other} and in {part}: prepare the data again."
                )
            if patient not in known:
                raise UserError(
                    f"{path}: '{patient}' of {part} has no case: prepare the data again."
                )
    for kind, cases in (
        ("images", data.manifest.cases),
        ("labels", [case for case in data.manifest.cases if case.labelled]),
    ):
        wanted = {f"{case.identifier}.npy" for case in cases}
        for file in (data.folder / kind).glob("*"):
            if file.name not in wanted:
                raise UserError(f"{file} belongs to no case: prepare the data again.")
    for case in data.manifest.cases:
        _check_case(data, case)
    return data


def _check_case(data: PreparedData, case: Case) -> None:
    image = data.image(case.identifier)
    where = data.folder / "images" / f"{case.identifier}.npy"
    if image.shape != case.shape or image.shape[1] != data.task.channels or image.size == 0:
        raise UserError(f"{where} does not have the shape in the manifest: prepare the data again.")
    if image.dtype.kind not in "iuf" or not np.isfinite([image.min(), image.max()]).all():
        raise UserError(f"{where} has intensities that are not finite: prepare the data again.")
    bounds = np.array(case.bounds, np.float64).reshape(-1, 2)
    if not (np.isfinite(bounds).all() and (bounds[:, 0] <= bounds[:, 1]).all()):
        raise UserError(f"{where} has no valid intensity bounds: prepare the data again.")
    if not case.labelled:
        return
    label = data.label(case.identifier)
    where = data.folder / "labels" / f"{case.identifier}.npy"
    if label.shape != (image.shape[0], *image.shape[2:]):
        raise UserError(f"{where} does not have the shape of its image: prepare the data again.")
    highest = int(label.max(initial=0, where=label != IGNORE_INDEX))
    if highest >= len(data.task.classes):
        raise UserError(
            f"{where} holds class code {highest}, but the task has only "
            f"{len(data.task.classes)} classes: prepare the data again."
        )
