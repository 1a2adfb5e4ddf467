"""Whether a prepared data set is still what its source and options make."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from semiseg.data.manifest import Manifest, PreparedData, Split
from semiseg.datasets.base import Options, Scan
from semiseg.errors import UserError
from semiseg.preparation.records import Record, read_records
from semiseg.preparation.sources import unchanged
from semiseg.preparation.store import arrays_fit
from semiseg.text import joined, plural

# Options that choose cases or name their patients, and change no case.
OF_THE_SET = ("patient_pattern", "all_frames")


def options_of_cases(layout: str, options: Options, scan: Scan) -> dict[str, Any]:
    """All that decides what is written and recorded of one case, as JSON has it."""
    chosen = {k: v for k, v in dataclasses.asdict(options).items() if k not in OF_THE_SET}
    chosen |= chosen.pop("naming") | {
        "layout": layout,
        "classes": scan.classes,
        "codes": None if scan.codes is None else sorted(scan.codes.items()),
        "ignore_value_of_source": scan.ignore_value,
        "channels": scan.channels,
        "intensity": scan.intensity.model_dump(),
    }
    plain: dict[str, Any] = json.loads(json.dumps(chosen))
    return plain


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

    def usable(self, scan: Scan, source: Path, options: dict[str, Any]) -> dict[str, Record]:
        """Records of cases that need not be read again: same options, files and whole arrays."""
        if self.options != options:
            return {}
        return still_true(self.records, scan, source)


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


def difference(
    before: Before,
    same: dict[str, Record],
    scan: Scan,
    split: Split,
    options: dict[str, Any],
) -> str | None:
    """What has changed since ``before``, as the middle of a sentence; None where nothing has.

    Args:
        before: the earlier preparation.
        same: its records that are still true (`Before.usable`).
        scan: the source as it is.
        split: as it would be now.
        options: as `options_of_cases`.
    """
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
    if before.manifest.split != split:
        return "it was made with another split"
    return None
