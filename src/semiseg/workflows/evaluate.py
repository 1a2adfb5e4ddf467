"""``semiseg evaluate RUN``: a run's network on the validation, test or unlabelled cases of its data."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from semiseg.console import Console
from semiseg.data.manifest import Case, PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.pictures import score_picture
from semiseg.evaluation.protocols import (
    CaseScore,
    Missing,
    Protocol,
    check_missing,
    find_protocol,
    score_case,
)
from semiseg.evaluation.summary import Summary, summarise, write_csv, write_json
from semiseg.evaluation.table import table_lines
from semiseg.inference.volumes import AnyPredictor
from semiseg.text import plural
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.loading import choose_network, is_same, load_predictor, open_data, part_of
from semiseg.workflows.new_folder import make_folder


def evaluate(
    run: Path | str,
    *,
    on: str = "test",
    data: Path | str | None = None,
    network: str | None = None,
    weights: str = "best",
    protocol: str | None = None,
    missing: str | None = None,
    hd95: str | None = None,
    flips: bool = False,
    out: Path | str | None = None,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    console: Console = Console(),  # noqa: B008 - holds nothing
) -> Summary:
    """Score a run on one part of its data, and write ``cases.csv`` and ``summary.json``.

    Args:
        run: the run's folder.
        on: 'validation' (the run's own), 'test', or 'unlabelled': training cases whose labels the data
            hold and the run never read, which shows how good its pseudo-labels are.
        data: a prepared data set; default: the one that the run was trained on. Of a set with other
            patients or classes the part of that set's own split is scored.
        network: one of the method's networks; default: the one meant for inference.
        weights: 'best', 'last' or 'step-N'.
        protocol, missing: default: those of the run's configuration.
        hd95: another definition of HD95 (docs/evaluation.md).
        flips: average over mirrored copies.
        out: where to write; default: RUN/evaluation/PART-NETWORK, with the name of everything that
            is not the run's default after it, so that no scores take the place of others.
        overwrite: replace what other scores ``out`` holds.

    Raises:
        UserError: where nothing can be scored, or something does not fit.
    """
    folder = RunFolder(run)
    config = folder.config()
    definitions = find_protocol(protocol or config.evaluation.protocol, hd95)
    rule = check_missing(missing or config.evaluation.missing)
    if threads is not None:
        torch.set_num_threads(threads)
    predictor = load_predictor(
        run, network=network, weights=weights, device=device, flips=flips,
        resampling=definitions.restore,
    )  # fmt: skip
    prepared = open_data(folder, data, "say with --data where they are now")
    cases = part_of(folder, prepared, on)
    if prepared.task.classes != predictor.task.classes:
        raise UserError(
            f"{prepared.folder} has the classes {', '.join(prepared.task.classes)}, the run was trained "
            f"for {', '.join(predictor.task.classes)}."
        )
    if prepared.task.kind == "volumes":  # a size for pictures is none for them
        definitions = dataclasses.replace(definitions, picture_size=None)
    _, named = choose_network(config, network)
    origin: dict[str, str | bool] = {
        "run": str(folder.folder.resolve()), "data": str(prepared.folder.resolve()), "part": on,
        "network": named, "weights": weights, "flips": flips,
    }  # fmt: skip
    words = [
        on, named, weights if weights != "best" else "", "flips" if flips else "",
        definitions.name if definitions.name != config.evaluation.protocol else "",
        rule if rule != config.evaluation.missing else "", hd95 or "",
        prepared.folder.resolve().name if data is not None and not is_same(folder, prepared) else "",
    ]  # fmt: skip
    target = Path(out) if out else folder.folder / "evaluation" / "-".join(filter(None, words))
    check_scores(target, origin, overwrite)
    make_folder(target)
    console.say(f"{named} ({weights} weights) on {on}: {plural(len(cases), 'case')}")
    scores = [
        score
        for case in console.track(cases, "evaluating")
        for score in score_prepared(predictor, prepared, case, definitions, rule)
    ]
    summary = summarise(scores, definitions, rule)
    write_csv(target / "cases.csv", summary)
    write_json(target / "summary.json", summary, origin)
    for line in table_lines(summary):
        console.say(line)
    console.say(f"per case: {target / 'cases.csv'}")
    return summary


def check_scores(folder: Path, origin: Mapping[str, str | bool], overwrite: bool) -> None:
    """Refuse to put scores where a run lies, or in the place of other scores.

    Raises:
        UserError: saying whose scores are there.
    """
    if RunFolder(folder).exists():
        raise UserError(f"{folder} is a run: leave -o out to put the scores into its evaluation/.")
    path = folder / "summary.json"
    if overwrite or not path.is_file():
        return
    try:
        held = json.loads(path.read_text(encoding="utf-8")).get("of", {})
    except (OSError, ValueError, AttributeError):
        held = {}
    other = [f"{key} {held[key]}" for key in origin if key in held and held[key] != origin[key]]
    if other or not held:
        raise UserError(
            f"{folder} holds other scores ({', '.join(other) or 'of masks'}): choose another -o, or "
            "replace them with --overwrite."
        )


def score_prepared(
    predictor: AnyPredictor, data: PreparedData, case: Case, protocol: Protocol, missing: Missing
) -> list[CaseScore]:
    """Predict and score one case on its reference's own grid."""
    image = np.asarray(data.image(case.identifier))
    reference = np.asarray(data.label(case.identifier))
    classes = data.task.classes
    if data.task.kind == "volumes":
        prediction = predictor.predict(image, case.bounds, case.spacing)
        return score_case(
            prediction, reference, classes, case.spacing, protocol, missing, case.identifier
        )
    # MAE is of probabilities, which a protocol with a size of its own takes from the network as they are
    restored = protocol.picture_size is None
    values = predictor.probabilities(image, case.bounds, restored)[0]  # [K, H, W]
    return score_picture(
        values.argmax(0)[None], reference, classes, case.spacing, protocol, missing,
        case.identifier, values,
    )  # fmt: skip
