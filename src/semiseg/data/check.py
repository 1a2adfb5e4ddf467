"""Validation of a prepared data set against its manifest."""

from pathlib import Path

import numpy as np

from semiseg.data.manifest import PARTS, Case, PreparedData
from semiseg.errors import UserError


def check_data(folder: Path | str) -> PreparedData:
    """Read every case, one at a time, and compare it with the manifest.

    Returns:
        The data set, opened.

    Raises:
        UserError: for an invalid manifest, a patient of the split without cases, arrays that are missing,
            damaged or superfluous, wrong shapes, intensities that are not finite, or class codes without a
            class.
    """
    data = PreparedData(folder)
    path = data.folder / "manifest.json"
    known = {case.patient for case in data.manifest.cases}
    for part in PARTS:
        for patient in data.manifest.split.part(part):
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
        check_case(data, case)
    return data


def check_case(data: PreparedData, case: Case) -> None:
    """Read a case and compare it with the manifest.

    Raises:
        UserError: as in `check_data`.
    """
    image = data.image(case.identifier)
    where = data.folder / "images" / f"{case.identifier}.npy"
    if image.shape != case.shape or image.size == 0:
        raise UserError(f"{where} does not have the shape in the manifest: prepare the data again.")
    if image.dtype.kind not in "iuf":
        raise UserError(f"{where} does not contain intensities: prepare the data again.")
    data.check_finite(image, case.identifier)
    bounds = np.array(case.bounds, np.float64).reshape(-1, 2)
    if not (np.isfinite(bounds).all() and (bounds[:, 0] <= bounds[:, 1]).all()):
        raise UserError(f"{where} has no valid intensity bounds: prepare the data again.")
    if not case.labelled:
        return
    label = data.label(case.identifier)
    where = data.folder / "labels" / f"{case.identifier}.npy"
    if label.shape != (image.shape[0], *image.shape[2:]):
        raise UserError(f"{where} does not have the shape of its image: prepare the data again.")
    data.check_codes(label, case.identifier)
