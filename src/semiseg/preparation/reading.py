"""Reading the cases of a source with several threads."""

import contextlib
import dataclasses
from collections.abc import Mapping

from semiseg.console import Console
from semiseg.data.task import IGNORE_INDEX
from semiseg.data.volume import Volume
from semiseg.datasets.base import Naming, Scan, SourceCase
from semiseg.datasets.naming import own_codes, without_empty_slices
from semiseg.preparation.manifest_builder import ManifestBuilder
from semiseg.preparation.ordered_map import ordered_map
from semiseg.preparation.records import Record, measure
from semiseg.preparation.scanning import Plan
from semiseg.preparation.sources import stamp
from semiseg.preparation.store import DataWriter
from semiseg.stopping import listening


def read_cases(
    plan: Plan,
    builder: ManifestBuilder,
    writer: DataWriter | None,
    kept: Mapping[str, Record],
    jobs: int,
    console: Console,
) -> None:
    """Read, measure and write the cases that are not ``kept``, and add all to ``builder`` in order.

    Args:
        plan: the cases.
        builder: collects the records.
        writer: writes the arrays; with None, cases are only checked.
        kept: records of cases that need not be read.
        jobs: number of threads.
        console: for the progress.

    Raises:
        UserError: for an invalid file.
    """
    scan = plan.scan

    def work(case: SourceCase) -> Record:
        if case.identifier in kept:
            return kept[case.identifier]
        files = stamp(case.files, case.stored_names(plan.source))
        volume, unnamed = _recoded(case, case.read(), scan, plan.naming)
        record = measure(case, volume, files, scan.intensity, unnamed)
        if writer is not None:
            writer.add(volume, record)
        return record

    # a KeyboardInterrupt during a callback of HDF5 would be lost
    label = "checking" if writer is None else "preparing"
    with listening() as stop, console.bar(label, len(scan.cases)) as bar:
        records = ordered_map(work, scan.cases, jobs)
        with contextlib.closing(records):
            for case, record in zip(scan.cases, records, strict=True):
                builder.add(case, record)
                bar.advance()
                stop.pass_on()


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
