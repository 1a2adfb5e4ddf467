"""Reading the cases of a source with several threads."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from semiseg.console import Console
from semiseg.data.task import IGNORE_INDEX
from semiseg.data.volume import Volume
from semiseg.datasets.base import Naming, Scan, SourceCase
from semiseg.datasets.naming import own_codes, without_empty_slices
from semiseg.errors import UserError, is_out_of_memory
from semiseg.preparation.manifest_builder import ManifestBuilder
from semiseg.preparation.ordered_map import ordered_map
from semiseg.preparation.records import LeftOut, Record, UnreadableCasesError, measure
from semiseg.preparation.scanning import Plan
from semiseg.preparation.sources import SourceFile, stamp
from semiseg.preparation.store import DataWriter
from semiseg.stopping import listening
from semiseg.text import kind_of, with_others

FIND_SERIES = "'semiseg prepare --dry-run --show-folders' prints the folder of each series"


def read_cases(
    plan: Plan,
    builder: ManifestBuilder,
    writer: DataWriter | None,
    kept: Mapping[str, Record],
    jobs: int,
    console: Console,
) -> tuple[LeftOut, ...]:
    """Read, measure and write the cases that are not ``kept``, and add all to ``builder`` in order.

    All cases are read even if some cannot be, so that all errors are known at once.

    Args:
        plan: the cases.
        builder: collects the records.
        writer: writes the arrays; with None, cases are only checked.
        kept: records of cases that need not be read.
        jobs: number of threads.
        console: for the progress, and for the error of each case that cannot be read.

    Returns:
        The cases that cannot be read and are left out (``plan.skip_bad``).

    Raises:
        UserError: if the cases contradict each other.
        UnreadableCasesError: if cases cannot be read and are not to be left out.
    """
    scan = plan.scan
    left_out: list[LeftOut] = []

    def work(case: SourceCase) -> Record | LeftOut:
        if case.identifier in kept:
            return kept[case.identifier]
        files: tuple[SourceFile, ...] = ()
        volume = None
        try:
            files = stamp(case.files, case.stored_names(plan.source))
            volume = case.read()
            volume, unnamed = _recoded(case, volume, scan, plan.naming)
            record = measure(case, volume, files, scan.intensity, unnamed)
            if writer is not None:
                writer.add(volume, record)
            return record
        except Exception as error:
            if is_out_of_memory(error):  # other cases may be smaller
                why = f"{case.source}: not enough memory to read it."
            elif isinstance(error, UserError) and volume is None:
                why = str(error)
            else:
                raise
        return LeftOut(
            left_out=case.identifier, source=case.source, patient=case.patient, files=files, why=why
        )

    # a KeyboardInterrupt during a callback of HDF5 would be lost
    label = "checking" if writer is None else "preparing"
    with listening() as stop, console.bar(label, len(scan.cases)) as bar:
        records = ordered_map(work, scan.cases, jobs)
        with contextlib.closing(records):
            for case, record in zip(scan.cases, records, strict=True):
                if isinstance(record, LeftOut):
                    left_out.append(record)
                else:
                    builder.add(case, record)
                bar.advance()
                stop.pass_on()
    if len(left_out) > 1 or plan.skip_bad:  # the error of a single one is the sentence itself
        files = {case.identifier: case for case in scan.cases}
        for line in _lines([(one, files[one.left_out]) for one in left_out], plan.source):
            console.warn(f"cannot be used: {line}")
    if left_out and not plan.skip_bad:
        hidden = any(case.private for case in scan.cases)
        raise UnreadableCasesError(left_out, len(scan.cases), FIND_SERIES if hidden else "")
    return tuple(left_out)


def _lines(left_out: Sequence[tuple[LeftOut, SourceCase]], source: Path) -> list[str]:
    """One sentence per kind of error, with the names of all files that it is about."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for one, case in left_out:
        stored = dict(zip(map(str, case.files), case.stored_names(source), strict=True))
        names = {*stored, *(Path(file).name for file in stored), case.identifier, case.source}
        subject = next((name for file, name in stored.items() if file in one.why), case.source)
        kinds.setdefault(kind_of(one.why, names), []).append((one.why, subject))
    return [with_others(own[0][0], [name for _, name in own[1:]], "file") for own in kinds.values()]


def _recoded(
    case: SourceCase, volume: Volume, scan: Scan, naming: Naming
) -> tuple[Volume, tuple[int, ...]]:
    """The volume with its label in class codes, and the source's codes without a class.

    A label without any labelled voxel is removed.
    """
    if volume.label is None:
        return volume, ()
    ignore_value = naming.ignore_value
    if scan.ignore_value is not None and not naming.certain:
        ignore_value = scan.ignore_value
    label, unnamed = own_codes(volume.label, scan.codes, ignore_value, case.source)
    if naming.empty_is_unlabelled:
        label = without_empty_slices(label)
    labelled = bool((label != IGNORE_INDEX).any())
    return dataclasses.replace(volume, label=label if labelled else None), tuple(sorted(unnamed))
