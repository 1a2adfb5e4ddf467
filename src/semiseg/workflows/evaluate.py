"""``semiseg evaluate RUN``: score a run on the validation, test or unlabelled cases of its data."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from semiseg.console import Console
from semiseg.data.manifest import Case, PreparedData
from semiseg.errors import UserError, memory_for
from semiseg.evaluation.pictures import score_picture
from semiseg.evaluation.protocols import (
    CaseScore,
    Missing,
    Protocol,
    check_missing,
    find_protocol,
    score_case,
)
from semiseg.evaluation.stored_summary import read_summary
from semiseg.evaluation.summary import Summary, summarise, write_scores
from semiseg.evaluation.table import table_lines
from semiseg.files import check_links
from semiseg.formats.grid import steps_of_case
from semiseg.inference.predictors import AnyPredictor
from semiseg.locking import locked
from semiseg.text import plural
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.ensemble import Runs, find_runs, given_runs, load_networks
from semiseg.workflows.held_out import check_cross_validated, check_unseen
from semiseg.workflows.loading import choose_network, is_same, load_predictor, open_data, part_of
from semiseg.workflows.new_folder import make_folder


def evaluate(
    run: Runs,
    *,
    on: str = "test",
    data: Path | str | None = None,
    network: str | None = None,
    weights: str = "best",
    protocol: str | None = None,
    missing: str | None = None,
    hd95: str | None = None,
    flips: bool = False,
    with_folds: bool = False,
    out: Path | str | None = None,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    console: Console = Console(),  # noqa: B008 - it has no state
) -> Summary:
    """Score a run on one part of its data, and write ``cases.csv`` and ``summary.json``.

    Several runs are scored as one ensemble (see `predict`), on patients that all of them hold out. It belongs
    to no run: without ``out`` its scores are printed and returned, but not written.

    Args:
        run: the run's folder, or that of `run`; several are an ensemble.
        on: 'validation' (the run's own), 'test', or 'unlabelled': training cases that have labels which
            the run did not read. These scores measure the quality of its pseudo-labels.
        data: a prepared data set; default: that of the (first) run. For a data set with other patients, the
            part of that data set's own split is scored.
        network: one of the method's networks; default: the one meant for inference.
        weights: 'best', 'last' or 'step-N'.
        protocol, missing: default: as in the configuration of the (first) run.
        hd95: a definition of HD95 that replaces the protocol's (docs/evaluation.md).
        flips: average the predictions of mirrored copies.
        with_folds: whether to add the networks of the cross-validation of `run`.
        out: the folder to write; default: RUN/evaluation/PART-NETWORK, followed by the names of all
            options that differ from the run's defaults.
        device: auto, cpu or cuda.
        threads: number of CPU threads; default: the number of cores.
        overwrite: replace other scores in ``out``.
        console: prints messages and progress.

    Raises:
        UserError: if no case can be scored, a network of an ensemble was trained on a case, or an option is
            invalid.
        RunFailure: if the memory does not suffice for a case.
    """
    runs = find_runs(run, with_folds)
    folder, several = runs[0], len(runs) > 1
    config = folder.config()
    definitions = find_protocol(protocol or config.evaluation.protocol, hd95)
    rule = check_missing(missing or config.evaluation.missing)
    if threads is not None:
        torch.set_num_threads(threads)
    if several and overwrite and not out:
        raise UserError("--overwrite replaces scores in a folder: give the folder with -o.")
    if several and definitions.restore == "labels":
        raise UserError(
            f"The protocol {definitions.name} resamples the class codes of one network, but an ensemble "
            "averages probabilities: choose --protocol strict."
        )
    predictor = load_networks(
        runs, network=network, weights=weights, device=device, flips=flips,
        resampling=definitions.restore,
    )  # fmt: skip
    for output in given_runs(run):
        check_cross_validated(output, data)
    prepared = open_data(folder, data, "give their new folder with --data")
    cases = part_of(folder, prepared, on)
    definitions = _fitting(definitions, predictor, prepared, "the run")
    if several:
        check_unseen(runs, prepared, cases, on)
    networks = {
        str(one.folder.resolve()): choose_network(one.config(), network)[1]
        for one in sorted(runs, key=lambda one: one.folder.resolve())
    }
    named = " + ".join(networks.values())
    origin: dict[str, str | bool] = {
        "run": " + ".join(networks),
        "data": str(prepared.folder.resolve()), "part": on, "network": named,
        "weights": weights, "flips": flips,
    }  # fmt: skip
    what = f"ensemble of {plural(len(runs), 'network')}" if several else named

    def score() -> Summary:
        console.info(f"{what} ({weights} weights) on {on}: {plural(len(cases), 'case')}")
        scores = _score_all(predictor, prepared, cases, definitions, rule, console)
        patients = {case.identifier: case.patient for case in cases}
        return summarise(scores, definitions, rule, patients=patients)

    target = Path(out) if out else None
    if target is None and not several:
        words = [
            on, named, weights if weights != "best" else "", "flips" if flips else "",
            definitions.name if definitions.name != config.evaluation.protocol else "",
            rule if rule != config.evaluation.missing else "", hd95 or "",
            prepared.folder.resolve().name if data is not None and not is_same(folder, prepared) else "",
        ]  # fmt: skip
        check_links(folder.folder, "replace the link by the files that it leads to")
        target = folder.folder / "evaluation" / "-".join(filter(None, words))
    summary = score() if target is None else _written(score, target, origin, overwrite)
    for line in table_lines(summary):
        console.info(line)
    console.info(
        f"per case: {target / 'cases.csv'}"
        if target
        else "to keep the scores, give a folder with -o"
    )
    return summary


def _written(
    score: Callable[[], Summary], target: Path, origin: Mapping[str, str | bool], overwrite: bool
) -> Summary:
    """Score, and write the scores into a folder that must not contain others."""
    with locked(target, "evaluating"):
        check_scores(target, origin, overwrite)
        make_folder(target)
        summary = score()
        write_scores(target, summary, origin)
    return summary


def scores_of(
    run: Path, data: PreparedData, cases: Sequence[Case], device: str, console: Console
) -> tuple[list[CaseScore], Protocol, Missing]:
    """Score a run, as its configuration says, on cases that need not be of its own split.

    Raises:
        UserError: if the run cannot be loaded, or was trained on other classes.
    """
    config = RunFolder(run).config().evaluation
    protocol, rule = find_protocol(config.protocol), check_missing(config.missing)
    predictor = load_predictor(run, device=device, resampling=protocol.restore)
    protocol = _fitting(protocol, predictor, data, str(run))
    return _score_all(predictor, data, cases, protocol, rule, console), protocol, rule


def _fitting(protocol: Protocol, predictor: AnyPredictor, data: PreparedData, run: str) -> Protocol:
    """Check that data have a run's classes, and return the protocol for their kind."""
    if data.task.classes != predictor.task.classes:
        raise UserError(
            f"{data.folder} has the classes {', '.join(data.task.classes)}, but {run} was "
            f"trained on {', '.join(predictor.task.classes)}: choose data with the same classes."
        )
    if data.task.kind == "volumes":  # the size is for pictures only
        return dataclasses.replace(protocol, picture_size=None)
    return protocol


def _score_all(
    predictor: AnyPredictor,
    data: PreparedData,
    cases: Sequence[Case],
    protocol: Protocol,
    missing: Missing,
    console: Console,
) -> list[CaseScore]:
    scores: list[CaseScore] = []
    for case in console.track(cases, "evaluating"):
        with memory_for(case.identifier, "predict and score it"):
            scores += score_prepared(predictor, data, case, protocol, missing)
    return scores


def check_scores(folder: Path, origin: Mapping[str, str | bool], overwrite: bool) -> None:
    """Check that ``folder`` is not a run and contains no other scores.

    Raises:
        UserError: if it is or does; the message describes the other scores.
    """
    if RunFolder(folder).exists():
        raise UserError(
            f"{folder} is a run: leave -o out to write the scores to its folder evaluation/."
        )
    path = folder / "summary.json"
    if overwrite or not path.exists():
        return
    held = read_summary(path)["of"]
    other = [f"{key} {held[key]}" for key in origin if key in held and held[key] != origin[key]]
    if other or not held:
        raise UserError(
            f"{folder} contains other scores ({', '.join(other) or 'of masks'}): choose another -o, or "
            "replace them with --overwrite."
        )


def score_prepared(
    predictor: AnyPredictor, data: PreparedData, case: Case, protocol: Protocol, missing: Missing
) -> list[CaseScore]:
    """Predict and score one case on the grid of its reference."""
    image = np.asarray(data.image(case.identifier))
    reference = np.asarray(data.label(case.identifier))
    classes = data.task.classes
    bounds = data.bounds_of(case, predictor.task.intensity)
    if data.task.kind == "volumes":
        prediction = predictor.predict(image, bounds, case.spacing)
        return score_case(
            prediction, reference, classes, steps_of_case(case), protocol, missing, case.identifier
        )
    # a protocol with its own picture size computes MAE from the probabilities at the network's size
    restored = protocol.picture_size is None
    values = predictor.probabilities(image, bounds, restored)[0]  # [K, H, W]
    return score_picture(
        values.argmax(0)[None], reference, classes, case.spacing, protocol, missing,
        case.identifier, values,
    )  # fmt: skip
