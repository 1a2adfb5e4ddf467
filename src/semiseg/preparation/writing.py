"""From a plan to a prepared data set: read each case once, check, measure and write it."""

from pathlib import Path

from semiseg.console import Console
from semiseg.data.manifest import Manifest
from semiseg.preparation.changes import Earlier, still_true
from semiseg.preparation.description import describe
from semiseg.preparation.manifest_builder import ManifestBuilder
from semiseg.preparation.reading import read_cases
from semiseg.preparation.records import Record
from semiseg.preparation.scanning import Plan
from semiseg.preparation.store import DataWriter
from semiseg.text import plural


def check_set(plan: Plan, out: Path, jobs: int, console: Console) -> Manifest:
    """Read and check every case and describe the set that `write_set` would write.

    Raises:
        UserError: naming the file that does not fit.
    """
    builder = _builder(plan)
    read_cases(plan, builder, None, {}, jobs, console)
    manifest = builder.manifest(plan.layout, plan.split)
    describe(manifest, builder.voxels, console)
    console.say(f"Dry run: every image was read and checked; {out} was not written.")
    return manifest


def write_set(
    plan: Plan, out: Path, earlier: Earlier | None, jobs: int, console: Console
) -> Manifest:
    """Read the cases that are not known yet and write the set, which may replace an earlier one.

    Args:
        plan: what is prepared.
        out: the folder, which appears only once it is whole.
        earlier: the set that it replaces; cases that are still true are taken over.
        jobs: cases read at a time.
        console: where sentences and progress go.

    Raises:
        UserError: naming the file that does not fit; what existed is then untouched.
    """
    builder = _builder(plan)
    with DataWriter(out, plan.options_of_cases) as writer:
        kept = _known_cases(writer, plan, earlier, console)
        try:
            read_cases(plan, builder, writer, kept, jobs, console)
            manifest = builder.manifest(plan.layout, plan.split)
            size = writer.finish(manifest)
        except BaseException as error:
            if writer.keeps(error):
                console.warn(
                    f"{plural(writer.whole_cases, 'whole case')} stay in {writer.partial}: the same "
                    "command goes on from there."
                )
            raise
    describe(manifest, builder.voxels, console)
    console.say(f"Written to {out} ({size / 1e6:,.1f} MB).")
    return manifest


def _builder(plan: Plan) -> ManifestBuilder:
    return ManifestBuilder(plan.scan, plan.options.spacing, plan.why)


def _known_cases(
    writer: DataWriter, plan: Plan, earlier: Earlier | None, console: Console
) -> dict[str, Record]:
    """Cases of an interrupted preparation and of the earlier set, whose arrays are in place."""
    if writer.thrown_away:
        console.warn(
            f"{writer.partial} was left by an interrupted preparation with other options "
            f"({', '.join(writer.thrown_away)}) and is replaced."
        )
    total = len(plan.scan.cases)
    kept = still_true(writer.kept, plan.scan, plan.source)
    if kept:
        console.say(f"continuing: {len(kept)} of {total} cases were prepared already")
    if earlier is None:
        return kept
    taken = {
        name: record
        for name, record in earlier.reusable.items()
        if name not in kept and writer.take(record, earlier.before.folder)
    }
    if taken:
        console.say(f"taking over: {len(taken)} of {total} cases have not changed")
    return kept | taken
