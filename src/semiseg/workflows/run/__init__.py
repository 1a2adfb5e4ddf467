"""``semiseg run``: prepare, train, evaluate, predict and report in one command.

Called again on a source that has changed, it begins a new round: it says what has changed, keeps the results
of the earlier round, and trains again from its weights.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from semiseg.config import as_assignments
from semiseg.console import Console
from semiseg.data.manifest import PreparedData
from semiseg.datasets import check_source
from semiseg.evaluation.summary import Summary
from semiseg.locking import one_at_a_time, remove_partials_below
from semiseg.text import duration, plural
from semiseg.training.run_output import Round, RunOutput
from semiseg.workflows.inspect import FACTS, PAGE, examine, write_inspection
from semiseg.workflows.prepare import ReadOptions
from semiseg.workflows.report import report
from semiseg.workflows.run.budget import Stopwatch, next_share
from semiseg.workflows.run.dry_run import say_plan
from semiseg.workflows.run.masks import write_masks
from semiseg.workflows.run.planning import (
    needs_new_round,
    plan_round,
    prepare_data,
    read_source,
)
from semiseg.workflows.run.request import (
    RunRequest,
    check_arguments,
    check_folder,
    store_arguments,
)
from semiseg.workflows.run.rounds import begin_round
from semiseg.workflows.run.scoring import score_earlier, score_folds, score_held_out
from semiseg.workflows.run.trainings import Brief, final_split, fold_split, train_one

__all__ = ["RunResult", "run"]


@dataclasses.dataclass(frozen=True)
class RunResult:
    """The result of a round.

    Attributes:
        folder: the output folder.
        page: the page.
        summary: the scores on held-out patients or of the cross-validation; None if there are too few
            labelled patients.
        masks: number of masks written.
        round: number of the round, from 1.
        earlier: the scores of the earlier round's networks on the same cases, if there are any.
    """

    folder: Path
    page: Path
    summary: Summary | None
    masks: int
    round: int = 1
    earlier: Summary | None = None


@one_at_a_time("running 'semiseg run'")
def run(
    source: Path | str,
    out: Path | str,
    *,
    labelled: str = "all",
    method: str | None = None,
    preset: str | None = None,
    settings: Sequence[str] = (),
    config: Mapping[str, Mapping[str, Any]] | None = None,
    seconds: float | None = None,
    folds: int | None = None,
    from_scratch: bool = False,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    dry_run: bool = False,
    begun: float | None = None,
    console: Console = Console(),  # noqa: B008 - it has no state
    **reading: Unpack[ReadOptions],
) -> RunResult | None:
    """Prepare, split, train, evaluate, predict the images without a label, and write a report.

    Writes into ``out``: ``data/`` (prepared), ``inspection/`` (of the data), ``training/`` (the run),
    ``masks/`` (of every image whose label was not used for training, on its own grid, with
    ``predictions.csv``), ``report.html``, and below ten labelled patients ``cross-validation/``. To resume
    an interrupted run, repeat the call. If images or labels were added or changed, the call begins a new
    round. The earlier results are moved to ``rounds/``.

    Args:
        source: a folder of images in any supported layout.
        out: the folder for the results.
        labelled: how many of the labelled patients are used: '7', '10%', 'all' or a text file.
        method: default: the preset's, else ``auto``, the recommended one.
        preset, settings, config: see `train`.
        seconds: duration of the call, which the trainings fill. Default: the preset's iterations.
        folds: number of folds of a cross-validation by patient; 0: none. Default: with three to nine
            labelled patients as many as patients, at most five; none with more.
        from_scratch: in a new round, do not start from the earlier weights.
        seed: seed of the split and of the training.
        device: auto, cpu or cuda.
        threads: number of CPU threads.
        dry_run: print what would be done and how long it takes; write nothing.
        begun: ``time.monotonic()`` when ``seconds`` began; default: now.
        console: prints messages and progress.
        reading: options of `prepare`: layout, classes, patient_pattern, spacing, split, parts, max_side,
            intensity, all_frames, ignore_value, empty_slices, reader, uneven_slices, skip_bad, labels,
            class_by_folder, trust_grid.

    Returns:
        The result; None for a dry run.

    Raises:
        UserError: if an argument is invalid, or if ``out`` contains something else.
    """
    watch = Stopwatch(begun=begun)
    request = RunRequest(
        Path(source), labelled, method, preset, (*settings, *as_assignments(config)), seconds, folds, seed,
        device, threads, reading,
    )  # fmt: skip
    output = RunOutput(out)
    request.check()
    check_source(request.source)
    check_folder(output)
    found = read_source(output, request)
    begins = needs_new_round(output, found)
    check_arguments(output, request, begins)
    if dry_run:
        say_plan(output, found, request, watch, console)
        return None
    remove_partials_below(output.folder)
    store_arguments(output, request)
    if found.changes:
        for sentence in found.changes:
            console.info(f"since the last call: {sentence}")
        present = begin_round(output, found.changes)
        if begins:
            kept = output.rounds / str(present.number - 1)
            console.info(f"round {present.number}: the earlier results are kept in {kept}")
    elif output.training.finished() is not None:
        console.info(
            "the images and labels have not changed since the last call: nothing is trained again"
        )
    console.info("1. Preparing the images")
    data = prepare_data(output, found, console)
    if reading.get("skip_bad"):  # patients who were left out are in no part of the split
        found = read_source(output, request)
        data = prepare_data(output, found, console)
    found = found.grouped(data)
    _inspect(output, data, request, console)
    console.info(f"2. Training ({found.decision.sentence()})")
    planned, resumed = output.round(), output.started()
    if planned.scheme is None or not resumed:
        planned = plan_round(output, data, found, request, from_scratch, watch, console)
    took = _train(output, data, planned, request, None if resumed else watch, console)
    console.info("3. Scoring")
    summary, earlier = _score(output, data, planned, device, console)
    console.info("4. Predicting the images whose labels were not used for training")
    masks = write_masks(output, data, request, console)
    console.info("5. Writing the report")
    page = report(output.folder, device=device, console=console)
    console.info(
        f"\nTrained for {duration(took)}; the command took {duration(watch.used())}. Open this page in a "
        f"browser:\n  {page.resolve()}\n"
        f"Masks: {output.masks.resolve()}\n"
        "To segment new images:\n"
        f"  semiseg predict {output.folder} path/to/new/images -o MASKS\n"
        "To improve it, label more images in the same folder and run the same command again."
    )
    return RunResult(output.folder, page, summary, masks, planned.number, earlier)


def _inspect(output: RunOutput, data: PreparedData, request: RunRequest, console: Console) -> None:
    """Write the inspection of the data, and print its serious findings, if they were prepared since."""
    facts, manifest = output.inspection / FACTS, data.folder / "manifest.json"
    if facts.is_file() and facts.stat().st_mtime_ns > manifest.stat().st_mtime_ns:
        return
    found = examine(data, request.source, None, console)
    write_inspection(found, data, output.inspection)
    for finding in found.findings:
        if finding.level == "serious":
            console.warn(finding.sentence)
    minor = sum(finding.level == "minor" for finding in found.findings)
    if minor:
        console.info(f"{plural(minor, 'minor warning')}: {output.inspection / PAGE}")


def _train(
    output: RunOutput,
    data: PreparedData,
    planned: Round,
    request: RunRequest,
    watch: Stopwatch | None,
    console: Console,
) -> float:
    """Train the folds, then the final network; returns the seconds of all trainings.

    ``watch``: the time used, which corrects the planned shares; None: of a resumed call.
    """
    took, count = 0.0, len(planned.folds) + 1

    def share(index: int) -> float | None:
        if request.seconds is None or planned.share is None or watch is None:
            return planned.share
        left = count - index
        return next_share(request.seconds, watch.used(), planned.reserve, planned.share, left)

    starts = planned.starts or (None,) * count
    for index, fold in enumerate(planned.folds):
        console.info(
            f"fold {index + 1} of {len(planned.folds)}: {plural(len(fold), 'patient')} held out"
        )
        took += train_one(
            output.fold(index), data, output, request, planned, fold_split(data, request, fold),
            starts[index], share(index), Brief(console),
        ).seconds  # fmt: skip
    if planned.folds:
        console.info("the final network, on all labelled patients")
    final = final_split(data, request, bool(planned.folds))
    return (
        took
        + train_one(
            output.training,
            data,
            output,
            request,
            planned,
            final,
            starts[-1],
            share(count - 1),
            console,
        ).seconds
    )


def _score(
    output: RunOutput, data: PreparedData, planned: Round, device: str, console: Console
) -> tuple[Summary | None, Summary | None]:
    """Score this round's networks, and the earlier ones on the same cases."""
    scored = (
        score_folds(output, data, planned, device, console)
        if planned.folds
        else score_held_out(output, data, device, console)
    )
    if scored is None:
        console.warn("no labelled case is left to score: label more cases, or inspect the masks.")
        return None, None
    summary, cases = scored
    earlier = score_earlier(output, data, planned, summary, cases, device, console)
    if earlier is not None:
        new, old = (s.overall["dice"].mean or 0.0 for s in (summary, earlier))
        console.info(
            f"mean Dice {new:.3f}; the network of round {planned.number - 1} has {old:.3f} on "
            f"{plural(earlier.cases, 'case')} of these"
        )
    return summary, earlier
