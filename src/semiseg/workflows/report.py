"""``semiseg report``: an HTML page about a run or a benchmark, or a figure of its pictures."""

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.console import Console
from semiseg.data.evenly_spaced import evenly_spaced
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.classes import without_ignored
from semiseg.evaluation.overlap import dice
from semiseg.evaluation.protocols import PROTOCOLS, STRICT
from semiseg.files import atomic_output, remove_partials
from semiseg.inference.predictors import predict_case
from semiseg.reporting.figures import FIGURE_SUFFIXES, class_colours, save_figure
from semiseg.reporting.gallery import gallery
from semiseg.reporting.overlays import Shown, choose_cases
from semiseg.reporting.page import benchmark_page, output_page, run_page
from semiseg.reporting.results import Benchmark, Scored, open_data, read_benchmark, read_run
from semiseg.reporting.rounds import read_cross_validation
from semiseg.training.run_folder import RunFolder
from semiseg.training.run_output import RunOutput, find_run
from semiseg.workflows.left_out_pictures import picture_of
from semiseg.workflows.loading import load_predictor
from semiseg.workflows.unlabelled_pictures import unlabelled_pictures

UNSCORED = 3  # cases shown of a run that was not evaluated


def report(
    folder: Path | str,
    out: Path | str | None = None,
    *,
    device: str = "auto",
    console: Console = Console(),  # noqa: B008 - it has no state
) -> Path:
    """Write a self-contained HTML page, or a figure with only its pictures.

    Args:
        folder: a run, the folder of `run`, or a benchmark.
        out: the page's file; default: ``report.html`` in ``folder``, which is replaced. If the name ends
            in .png, .svg or .pdf, a figure is written: cases with the predictions of every method.
        device: device of the predictions: auto, cpu or cuda.
        console: prints messages and progress.

    Returns:
        The path of the page or figure.

    Raises:
        UserError: if ``folder`` is neither a run nor a benchmark or is damaged, or if the page cannot be
            written.
    """
    folder = Path(folder)
    target = Path(out) if out is not None else folder / "report.html"
    if out is not None and target.is_dir():
        raise UserError(
            f"{target} is a folder: give the name of a file, such as {target}/report.html."
        )
    as_figure = target.suffix.lower() in FIGURE_SUFFIXES
    if not as_figure and target.suffix.lower() not in (".html", ".htm"):
        raise UserError(
            f"--out {target}: give a name that ends in .html (a page) or in .png, .svg or .pdf (a figure)."
        )
    remove_partials(target.parent, target.name)
    unlabelled: list[Shown] = []
    make: Callable[..., str]
    if (folder / "benchmark.json").exists():
        bench = read_benchmark(folder)
        pictures, make = _benchmark_pictures(bench, device, console), benchmark_page
        runs = [RunFolder(scored.folder) for scored in bench.scored]
    elif RunOutput(folder).exists() and RunOutput(folder).training.exists():
        output = RunOutput(folder)
        unlabelled = unlabelled_pictures(output, device, console)
        pictures = _output_pictures(output, device, console, bool(unlabelled))
        make = functools.partial(output_page, unlabelled=unlabelled)
        runs = [output.training]
    elif RunFolder(find_run(folder)).exists():
        folder = find_run(folder)
        pictures, make = _run_pictures(folder, device, console), run_page
        runs = [RunFolder(folder)]
    else:
        raise UserError(
            f"{folder} is neither a run (no config.yaml) nor a benchmark (no benchmark.json): "
            "give the folder that 'semiseg train', 'semiseg run' or 'semiseg benchmark' wrote."
        )
    if as_figure:
        pictures = pictures or unlabelled[:UNSCORED]
        if not pictures:
            raise UserError(
                f"{folder} has no case with a prediction to show: no figure was written."
            )
        task = runs[0].task()
        save_figure(gallery(pictures, task.foreground, class_colours(task)), target)
    else:
        text = make(folder, pictures)
        with atomic_output(target) as partial:
            partial.write_text(text, encoding="utf-8")
    console.info(f"{'figure' if as_figure else 'page'}: {target}")
    return target


def _benchmark_pictures(bench: Benchmark, device: str, console: Console) -> list[Shown]:
    """Three cases per number of labelled patients, with the prediction of each method's first seed."""
    if bench.data is None:
        console.warn(f"no pictures: the prepared data {bench.plan['data']} no longer exist.")
        return []
    out: list[Shown] = []
    for budget in bench.budgets:
        firsts: dict[str, Scored] = {}
        for scored in bench.of(budget):
            firsts.setdefault(scored.row["variant"], scored)
        seeds = sorted({scored.row["seed"] for scored in firsts.values()})
        title = f"{budget} labelled, seed {' and '.join(map(str, seeds))}"
        out += _pictures(title, firsts, bench.data, device, console)
    return out


def _run_pictures(folder: Path, device: str, console: Console) -> list[Shown]:
    """Three cases of each scored part, or validation cases if the run was not scored."""
    run = RunFolder(folder)
    place = run.facts().data
    data = open_data(place)
    if data is None:
        console.warn(f"no pictures: the prepared data {place} no longer exist.")
        return []
    scored = read_run(folder)
    if not scored:
        return _unscored_pictures(run, data, device, console)
    out: list[Shown] = []
    for on in dict.fromkeys(s.row["on"] for s in scored):
        # scores on other data (evaluate --data) have no case here
        chosen = {
            s.row["network"]: s
            for s in scored
            if s.row["on"] == on and s.dice[None].keys() & data.cases
        }
        if not chosen:
            continue
        out += _pictures(f"{on} part", chosen, data, device, console)
    return out


def _output_pictures(
    output: RunOutput, device: str, console: Console, unlabelled: bool
) -> list[Shown]:
    """Three cases of a cross-validation, each by the network that was not trained on it.

    ``unlabelled``: whether images without a label are shown anyway, so that a run without scores shows
    no others.
    """
    data, scored = open_data(str(output.data)), read_cross_validation(output)
    if scored is None or data is None:
        if unlabelled and not read_run(output.training.folder):
            return []
        return _run_pictures(output.training.folder, device, console)
    out = []
    scores = {case: dice for case, dice in scored.dice[None].items() if case in data.cases}
    folds = output.round().folds
    for name, why in choose_cases(scores):
        case = data.cases[name]
        index = next(n for n, fold in enumerate(folds) if case.patient in fold)
        predictor = load_predictor(output.fold(index).folder, device=device)
        with picture_of(name, console):
            predicted = predict_case(predictor, data, case)
            out.append(
                Shown(
                    "cross-validation", name, why, np.asarray(data.image(name)),
                    np.asarray(data.label(name)), {f"fold {index + 1}": predicted},
                    {f"fold {index + 1}": scores[name]}, case.spacing,
                )
            )  # fmt: skip
    return out


def _pictures(
    title: str,
    chosen: Mapping[str, Scored],
    data: PreparedData,
    device: str,
    console: Console,
) -> list[Shown]:
    """The cases that `choose_cases` selects by their mean Dice over the compared networks."""
    tracks = [s.dice[None] for s in chosen.values()]
    common = [case for case in tracks[0] if all(case in t for t in tracks) and case in data.cases]
    scores = {case: statistics.fmean(track[case] for track in tracks) for case in common}
    picked = choose_cases(scores)
    predictions: dict[str, dict[str, NDArray[np.uint8]]] = {case: {} for case, _ in picked}
    for name, scored in console.track(list(chosen.items()), f"pictures, {title}"):
        protocol = PROTOCOLS.get(scored.row["summary"]["protocol"], STRICT)
        try:
            predictor = load_predictor(
                scored.folder, network=scored.network, weights=scored.weights, device=device,
                flips=scored.flips, resampling=protocol.restore,
            )  # fmt: skip
        except UserError as error:
            console.warn(f"no pictures of {name}: {error}")
            continue
        for case, _ in picked:
            with picture_of(case, console):
                image = np.asarray(data.image(case))
                predictions[case][name] = predictor.predict(
                    image, data.cases[case].bounds, data.cases[case].spacing
                )
    return [
        Shown(
            title, case, why, np.asarray(data.image(case)), np.asarray(data.label(case)),
            predictions[case], {name: s.dice[None][case] for name, s in chosen.items()},
            data.cases[case].spacing,
        )
        for case, why in picked
    ]  # fmt: skip


def _unscored_pictures(
    run: RunFolder, data: PreparedData, device: str, console: Console
) -> list[Shown]:
    """Evenly spaced validation cases, else unlabelled ones: there are no scores to choose by."""
    split = run.split()
    cases = data.of_patients(split.split.validation, labelled=True)
    if not cases:
        labelled = {c.identifier for c in data.of_patients(split.labelled, labelled=True)}
        train = data.of_patients(split.split.train)
        cases = [case for case in train if case.identifier not in labelled]
    title = "validation part" if split.split.validation else "unlabelled images"
    try:
        predictor = load_predictor(run.folder, device=device)
    except UserError as error:
        console.warn(f"no pictures: {error}")
        return []
    name = run.config().method
    out = []
    for case in [cases[place] for place in evenly_spaced(len(cases), UNSCORED)]:
        with picture_of(case.identifier, console):
            image, reference = data.image(case.identifier), None
            predicted = predict_case(predictor, data, case)
            scores: Sequence[float] = ()
            if case.labelled:
                reference = np.asarray(data.label(case.identifier))
                scores = _scores(predicted, reference, len(data.task.classes))
            out.append(
                Shown(
                    title, case.identifier, "chosen by its position in the list",
                    np.asarray(image), reference, {name: predicted},
                    {name: statistics.fmean(scores)} if scores else {}, case.spacing,
                )
            )  # fmt: skip
    return out


def _scores(
    predicted: NDArray[np.generic], reference: NDArray[np.generic], classes: int
) -> Sequence[float]:
    predicted, reference = without_ignored(predicted, reference)
    values = [dice(predicted == code, reference == code) for code in range(1, classes)]
    return [value for value in values if value is not None]
