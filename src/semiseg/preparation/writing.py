"""Execution of a plan: reading, checking, measuring and writing the cases."""

from pathlib import Path

from semiseg.console import Console
from semiseg.data.manifest import Manifest
from semiseg.errors import UserError
from semiseg.preparation.changes import Earlier, find_earlier, still_true
from semiseg.preparation.description import describe
from semiseg.preparation.manifest_builder import ManifestBuilder
from semiseg.preparation.reading import read_cases
from semiseg.preparation.records import Record, content_digest
from semiseg.preparation.scanning import Plan
from semiseg.preparation.splitting import settled
from semiseg.preparation.store import DataWriter
from semiseg.text import plural


def check_set(plan: Plan, out: Path, jobs: int, console: Console) -> Manifest:
    """Read and check every case, and describe the data set that `write_set` would write.

    Raises:
        UserError: for an invalid file.
    """
    builder = _builder(plan)
    plan = plan.without(read_cases(plan, builder, None, {}, jobs, console))
    builder.scan = plan.scan
    manifest = _manifest(builder, plan)
    describe(manifest, builder.voxels, console)
    console.info(f"Dry run: every image was read and checked; {out} was not written.")
    return manifest


def write_set(
    plan: Plan, out: Path, earlier: Earlier | None, jobs: int, console: Console
) -> Manifest:
    """Write a data set, reusing the unchanged cases of an earlier one.

    Args:
        plan: the plan.
        out: the folder, which appears only when it is complete.
        earlier: the data set to replace; its unchanged cases are reused.
        jobs: number of threads.
        console: for messages and progress.

    Raises:
        UserError: for invalid files; an earlier data set is then unchanged.
    """
    builder = _builder(plan)
    with DataWriter(out, plan.options_of_cases) as writer:
        now = find_earlier(out, plan)  # another process may have written it since
        if now is not None and (earlier is None or now.before != earlier.before):
            raise UserError(
                f"{out} was written by another process in the meantime: run the same command again."
            )
        kept = _known_cases(writer, plan, earlier, console)
        try:
            plan = plan.without(read_cases(plan, builder, writer, kept, jobs, console))
            builder.scan = plan.scan
            manifest = _manifest(builder, plan)
            size = writer.finish(manifest, plan.left_out)
        except BaseException as error:
            if writer.keeps(error):
                console.warn(
                    f"{plural(writer.whole_cases, 'complete case')} kept in {writer.partial}: run the "
                    "same command to resume."
                )
            raise
    describe(manifest, builder.voxels, console)
    console.info(f"Written to {out} ({size / 1e6:,.1f} MB).")
    return manifest


def _manifest(builder: ManifestBuilder, plan: Plan) -> Manifest:
    """The manifest with the split that the images decide."""
    found = settled(plan, {record.identifier: record for record in builder.records})
    manifest = builder.manifest(plan.layout, found.split)
    more = {
        "notes": (*manifest.notes, *found.notes), "groups": found.groups,
        "content": content_digest(plan.options_of_cases, builder.records),
    }  # fmt: skip
    return manifest.model_copy(update=more)


def _builder(plan: Plan) -> ManifestBuilder:
    return ManifestBuilder(plan.scan, plan.options.spacing, plan.why, plan.naming)


def _known_cases(
    writer: DataWriter, plan: Plan, earlier: Earlier | None, console: Console
) -> dict[str, Record]:
    """Records of an interrupted preparation and of the earlier data set, with arrays in place."""
    if writer.thrown_away:
        console.warn(
            f"{writer.partial} was left by an interrupted preparation with other options "
            f"({', '.join(writer.thrown_away)}) and is replaced."
        )
    total = len(plan.scan.cases)
    kept = still_true(writer.kept, plan.scan, plan.source)
    if kept:
        console.info(f"resuming: {len(kept)} of {total} cases are already prepared")
    if earlier is None:
        return kept
    taken = {
        name: record
        for name, record in earlier.reusable.items()
        if name not in kept and writer.take(record, earlier.before.folder)
    }
    if taken:
        console.info(f"reusing: {len(taken)} of {total} cases have not changed")
    return kept | taken
