"""Comparison of a prepared data set with its source and options."""

import dataclasses
from pathlib import Path
from typing import Any

from semiseg.data.manifest import Manifest, PreparedData
from semiseg.datasets.base import Scan
from semiseg.errors import UserError
from semiseg.preparation.records import Record, read_left_out, read_records
from semiseg.preparation.scanning import Plan
from semiseg.preparation.sources import unchanged
from semiseg.preparation.splitting import settled
from semiseg.preparation.store import arrays_fit
from semiseg.text import joined, plural


@dataclasses.dataclass(frozen=True)
class Before:
    """The result of an earlier preparation in the output folder.

    Attributes:
        folder: the output folder.
        manifest: its description.
        options: the options that determined the content of its cases; None without records.
        records: its records by case.
    """

    folder: Path
    manifest: Manifest
    options: dict[str, Any] | None
    records: dict[str, Record]

    def usable(self, plan: Plan) -> dict[str, Record]:
        """Records of cases with the same options and files, which need not be read again."""
        if self.options != plan.options_of_cases:
            return {}
        return still_true(self.records, plan.scan, plan.source)


@dataclasses.dataclass(frozen=True)
class Earlier:
    """An earlier data set in the output folder, compared with a plan.

    Attributes:
        before: the earlier data set.
        known: its records that are still valid.
        changed: the changes since, as the middle of a sentence; None if there are none.
    """

    before: Before
    known: dict[str, Record]
    changed: str | None

    @property
    def reusable(self) -> dict[str, Record]:
        """Records of cases to reuse; empty if nothing has changed, to prepare all cases again."""
        return {} if self.changed is None else self.known

    def refusal(self, out: Path) -> UserError:
        """The error if ``out`` exists and ``--overwrite`` is missing."""
        only = " (which reads only what has changed)" if self.known else ""
        return UserError(
            f"{out} exists, and {self.changed}: use --overwrite to prepare it again{only}, or choose "
            "another folder."
        )


def find_earlier(out: Path, plan: Plan) -> Earlier | None:
    """The data set in ``out``, compared with the plan; None if there is none."""
    before = find_before(out)
    if before is None:
        return None
    known = before.usable(plan)
    return Earlier(before, known, difference(before, known, without_left_out(plan, out)))


def without_left_out(plan: Plan, out: Path) -> Plan:
    """The plan without cases that ``--skip-bad`` has left out of ``out`` and that have not changed."""
    if not plan.skip_bad:
        return plan
    cases = {case.identifier: case for case in plan.scan.cases}
    same = [
        one
        for one in read_left_out(out)
        if (case := cases.get(one.left_out)) is not None
        and unchanged(one.files, case.files, case.stored_names(plan.source))
    ]
    try:
        return plan.without(same)
    except UserError:
        return plan


def find_before(out: Path) -> Before | None:
    """The data set in ``out``; None if there is none or it is damaged."""
    try:
        manifest = PreparedData(out).manifest
    except UserError:
        return None
    found = read_records(out)
    return Before(out, manifest, *(found or (None, {})))


def still_true(records: dict[str, Record], scan: Scan, source: Path) -> dict[str, Record]:
    """The records whose files have not changed."""
    return {
        case.identifier: record
        for case in scan.cases
        if (record := records.get(case.identifier)) is not None
        and unchanged(record.files, case.files, case.stored_names(source))
    }


def difference(before: Before, same: dict[str, Record], plan: Plan) -> str | None:
    """The changes since ``before``, as the middle of a sentence; None if there are none.

    Args:
        before: the earlier data set.
        same: its records that are still valid (`Before.usable`).
        plan: the source with its options and its split.
    """
    scan, options = plan.scan, plan.options_of_cases
    if before.options is None:
        return "it has no records of its source files"
    now = [case.identifier for case in scan.cases]
    names = {case.identifier for case in before.manifest.cases}
    if not names & set(now):
        return "it was made from other images"
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
            (gone, "missing"),
            (lost, "damaged in the output"),
        )
        if found
    ]
    if parts:
        return f"since then {joined(parts)}"
    patients = {case.identifier: case.patient for case in before.manifest.cases}
    if any(patients[case.identifier] != case.patient for case in scan.cases):
        return "it was made with other patients"
    if before.manifest.split != settled(plan, same).split:
        return "it was made with another split"
    return None
