"""The patients of DICOM series, numbered so that no name is kept."""

from collections.abc import Sequence
from pathlib import Path

from semiseg.datasets.base import patient_of
from semiseg.datasets.spelling import one_spelling
from semiseg.errors import UserError
from semiseg.formats.dicom import Origin
from semiseg.text import plural


def patients_of(
    folder: Path, origins: Sequence[Origin], pattern: str | None
) -> tuple[dict[str, str], list[str]]:
    """UID of a series -> ``patient-001``, and notes.

    The patient of a series is found by ``pattern`` in the paths of its files below ``folder``, else it
    is the PatientID, else the study. Series of one study are of one patient. Patients are numbered in the
    order of the series' digests: a digest of the PatientID is not safe, because IDs are short, so it could
    be inverted by trying all.

    Raises:
        UserError: if the pattern is invalid, or does not match the paths of a series.
    """
    order = sorted(origins, key=lambda one: one.name)
    if pattern is not None:
        keys, notes = {one.uid: _by_path(folder, one, pattern) for one in order}, list[str]()
    else:
        keys, notes = _by_header(order)
    respelt = one_spelling(keys.values())
    if respelt:
        what = "PatientIDs" if pattern is None else "patients in the paths"
        notes.append(
            f"{plural(len(set(respelt.values())), 'patient')} with several spellings: {what} that differ "
            "only in capitals, separators or leading zeros count as one patient."
        )
        keys = {uid: respelt.get(key, key) for uid, key in keys.items()}
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys.values()), 1)}
    return {uid: f"patient-{numbers[key]:03d}" for uid, key in keys.items()}, notes


def _by_path(folder: Path, origin: Origin, pattern: str) -> str:
    found: set[str] = set()
    for path in origin.paths:
        place = path.relative_to(folder).as_posix()
        try:
            found.add(patient_of(place, pattern))
        except UserError as error:  # paths often contain the patient's name
            hidden = f"the path of {origin.name} below the folder"
            raise UserError(str(error).replace(f"'{place}'", hidden)) from None
    if len(found) > 1:
        raise UserError(
            f"--patient-pattern '{pattern}' finds {len(found)} patients in the paths of {origin.name}: "
            "correct it."
        )
    return found.pop()


def _by_header(order: Sequence[Origin]) -> tuple[dict[str, str], list[str]]:
    notes = []
    keys = {
        one.uid: f"patient {one.patient}" if one.patient else f"study {one.study}" for one in order
    }
    if not all(one.patient for one in order):
        notes.append("series without a PatientID: each of their studies counts as a patient.")
    studies: dict[str, list[str]] = {}
    for one in order:
        studies.setdefault(one.study, []).append(keys[one.uid])
    several = [study for study, found in studies.items() if len(set(found)) > 1]
    if several and len(studies) > 1:  # a study UID that all series share says nothing
        keys = _united(order, keys, studies)
        notes.append(
            f"{plural(len(several), 'study').replace('studys', 'studies')} with several PatientIDs: its "
            "series count as one patient (to name patients by the paths: --patient-pattern)."
        )
    if len(order) > 1 and len(set(keys.values())) == 1 and len(studies) > 1:
        notes.append(
            f"all {len(order):,} series of {len(studies):,} studies have one PatientID, so that they "
            "count as one patient: if it was overwritten by anonymisation, name the patients by the "
            "paths of the files with --patient-pattern."
        )
    return keys, notes


def _united(
    order: Sequence[Origin], keys: dict[str, str], studies: dict[str, list[str]]
) -> dict[str, str]:
    """Keys of patients, where patients that share a study are one."""
    first: dict[str, str] = {}

    def root(key: str) -> str:
        while first.setdefault(key, key) != key:
            key = first[key]
        return key

    for found in studies.values():
        for key in found[1:]:
            first[root(key)] = root(found[0])
    return {one.uid: root(keys[one.uid]) for one in order}
