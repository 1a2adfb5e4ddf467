"""Whether a prepared data set is still what its source and options make."""

import dataclasses
from pathlib import Path
from typing import Any

from semiseg.data.manifest import Manifest, PreparedData
from semiseg.datasets.base import Scan
from semiseg.errors import UserError
from semiseg.preparation.records import Record, read_records
from semiseg.preparation.scanning import Plan
from semiseg.preparation.sources import unchanged
from semiseg.preparation.store import arrays_fit
from semiseg.text import joined, plural


@dataclasses.dataclass(frozen=True)
class Before:
    """What an earlier preparation has left in the output folder.

    Attributes:
        manifest: its description.
        options: those that decided what was written of a case; None where it kept no records.
        records: what it knows of each case.
    """

    folder: Path
    manifest: Manifest
    options: dict[str, Any] | None
    records: dict[str, Record]

    def usable(self, plan: Plan) -> dict[str, Record]:
        """Records of cases that need not be read again: same options, same files."""
        if self.options != plan.options_of_cases:
            return {}
        return still_true(self.records, plan.scan, plan.source)


@dataclasses.dataclass(frozen=True)
class Earlier:
    """An earlier data set in the output folder, compared with what is to be prepared.

    Attributes:
        before: what it holds.
        known: its records that are still true.
        changed: what has changed since, as the middle of a sentence; None where nothing has.
    """

    before: Before
    known: dict[str, Record]
    changed: str | None

    @property
    def reusable(self) -> dict[str, Record]:
        """Records of cases that are taken over; none where nothing has changed and all is asked for anew."""
        return {} if self.changed is None else self.known

    def refusal(self, out: Path) -> UserError:
        """Why ``out`` is not replaced without ``--overwrite``."""
        only = " (which reads only what has changed)" if self.known else ""
        return UserError(
            f"{out} exists, and {self.changed}: take --overwrite to prepare it again{only}, or choose "
            "another folder."
        )


def find_earlier(out: Path, plan: Plan) -> Earlier | None:
    """The data set that ``out`` holds, compared with the plan; None where there is none."""
    before = find_before(out)
    if before is None:
        return None
    known = before.usable(plan)
    return Earlier(before, known, difference(before, known, plan))


def find_before(out: Path) -> Before | None:
    """The data set that ``out`` holds; None where there is none, or a damaged one."""
    try:
        manifest = PreparedData(out).manifest
    except UserError:
        return None
    found = read_records(out)
    return Before(out, manifest, *(found or (None, {})))


def still_true(records: dict[str, Record], scan: Scan, source: Path) -> dict[str, Record]:
    """The records whose files are as they were."""
    return {
        case.identifier: record
        for case in scan.cases
        if (record := records.get(case.identifier)) is not None
        and unchanged(record.files, case.files, case.stored_names(source))
    }


def difference(before: Before, same: dict[str, Record], plan: Plan) -> str | None:
    """What has changed since ``before``, as the middle of a sentence; None where nothing has.

    Args:
        before: the earlier preparation.
        same: its records that are still true (`Before.usable`).
        plan: the source as it is, with its options and its split.
    """
    scan, options = plan.scan, plan.options_of_cases
    if before.options is None:
        return "it does not say of which files it was made"
    now = [case.identifier for case in scan.cases]
    names = {case.identifier for case in before.manifest.cases}
    if not names & set(now):
        return "it was made of other images"
    if before.options != options:
        both = before.options.keys() | options.keys()
        listed = sorted(k for k in both if before.options.get(k) != options.get(k))
        return f"it was made with other options ({', '.join(listed)})"
    new = [name for name in now if name not in names]
    gone = sorted(names.difference(now))
    other = [name for name in now if name in names and name not in same]
    lost = [name for name, record in same.items() if not arrays_fit(before.folder, record)]
    parts = [
        f"{plural(len(found), 'image')} {verb} (such as {found[0]})"
        for found, verb in (
            (new, "new"),
            (other, "changed"),
            (gone, "gone"),
            (lost, "damaged in the output"),
        )
        if found
    ]
    if parts:
        return f"since then {joined(parts)}"
    patients = {case.identifier: case.patient for case in before.manifest.cases}
    if any(patients[case.identifier] != case.patient for case in scan.cases):
        return "it was made with other patients"
    if before.manifest.split != plan.split:
        return "it was made with another split"
    return None
