"""``semiseg run``: prepare, train, evaluate, predict and report in one command."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import torch

from semiseg.config import as_assignments
from semiseg.console import Console
from semiseg.data.manifest import PreparedData
from semiseg.datasets import check_source, find_layout
from semiseg.datasets.base import SourceCase
from semiseg.errors import UserError
from semiseg.evaluation.summary import Summary
from semiseg.files import atomic_output, is_partial
from semiseg.formats import NIFTI, find_format
from semiseg.preparation.scanning import Request
from semiseg.text import duration, plural
from semiseg.training.device import torch_device
from semiseg.training.patients import cases_of, choose_patients
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.evaluate import evaluate
from semiseg.workflows.loading import load_predictor
from semiseg.workflows.prediction_files import write_prediction
from semiseg.workflows.prepare import ReadOptions, prepare
from semiseg.workflows.report import report
from semiseg.workflows.train import measure_step_seconds, resume, train

ARGUMENTS = "run.json"
OF_TRAINING = {"labelled", "method", "preset", "settings", "seconds"}
FEWEST = 1000  # below this number of iterations, unlabelled images did not help (docs/results.md)
MOST = 40_000
FOR_STEPS = 0.8  # fraction of the time; the rest is for validation, evaluation and masks
WHOLE = 1 << 30  # pictures are predicted at their own size


@dataclasses.dataclass(frozen=True)
class RunResult:
    """The folder, the page, the scores and the number of masks written."""

    folder: Path
    page: Path
    summary: Summary | None
    masks: int


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
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    console: Console = Console(),  # noqa: B008 - it has no state
    **reading: Unpack[ReadOptions],
) -> RunResult:
    """Prepare, split, train, evaluate, predict the images without a label, and write a report.

    Writes ``data/`` (prepared), ``training/`` (the run), ``masks/`` (of every image whose label was not
    used for training, on its own grid) and ``report.html`` into ``out``. To resume an interrupted run,
    repeat the call.

    Args:
        source: a folder of images in any supported layout.
        out: the folder for the results.
        labelled: how many of the labelled patients are used: '7', '10%', 'all' or a text file.
        method: default: ``mcsc`` if there are unlabelled images and enough time, else ``supervised``.
        preset, settings, config: see `train`.
        seconds: approximate duration of the training, which determines the number of iterations.
            Default: the preset's iterations.
        seed: seed of the split and of the training.
        device: auto, cpu or cuda.
        threads: number of CPU threads.
        console: prints messages and progress.
        reading: options of `prepare`: layout, classes, patient_pattern, spacing, split, parts, max_side,
            intensity, all_frames, ignore_value, empty_slices, reader, uneven_slices.

    Raises:
        UserError: if an argument is invalid, or if ``out`` contains something else.
    """
    folder, source = Path(out), Path(source)
    settings = [*settings, *as_assignments(config)]
    torch_device(device)
    check_source(source)
    arguments: dict[str, Any] = {
        "source": str(source.resolve()), "labelled": labelled, "method": method, "preset": preset,
        "settings": list(settings), "seconds": seconds, "seed": seed,
    }  # fmt: skip
    for key, value in reading.items():
        arguments[key] = list(value) if isinstance(value, tuple | list) else value and str(value)
    _open(folder, arguments)
    data = folder / "data"
    if not (data / "manifest.json").is_file():
        console.info("1. Preparing the images")
        prepare(source, data, seed=seed, console=console, **reading)
    training = RunFolder(folder / "training")
    console.info("2. Training")
    chosen = [*settings, f"training.seed={seed}"]
    if training.exists():
        result = resume(training.folder, data=data, device=device, threads=threads, console=console)
    else:
        prepared = PreparedData(data)
        method, chosen = _plan(
            prepared, labelled, method, preset, chosen, seconds, device, threads, console
        )
        trained = train(
            data, training.folder, method=method, labelled=labelled, preset=preset, settings=chosen,
            device=device, threads=threads, overwrite=training.folder.exists(), console=console,
        )  # fmt: skip
        assert trained is not None  # it is not a dry run
        result = trained
    console.info("3. Scoring")
    summary = _score(training, PreparedData(data), device, console)
    console.info("4. Predicting the images whose labels were not used for training")
    masks = _masks(source, PreparedData(data), training, reading, folder / "masks", device, console)
    console.info("5. Writing the report")
    page = report(training.folder, folder / "report.html", device=device, console=console)
    console.info(
        f"\nTrained for {duration(result.seconds)}. Open this page in a browser:\n  {page.resolve()}\n"
        f"Masks: {(folder / 'masks').resolve()}\n"
        "To segment new images:\n"
        f"  semiseg predict {training.folder} path/to/new/images -o MASKS"
    )
    return RunResult(folder, page, summary, masks)


def _open(folder: Path, arguments: dict[str, Any]) -> None:
    """Start or resume ``folder``. Arguments that existing results depend on must be the same."""
    path = folder / ARGUMENTS
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another folder with -o.")
    if path.is_file():
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            held = {}
        known = dict.fromkeys((*arguments, *held))
        fixed = set(known) if RunFolder(folder / "training").exists() else set()
        if (folder / "data" / "manifest.json").is_file():
            fixed |= set(known) - OF_TRAINING
        other = [
            f"--{k.replace('_', '-')}"
            for k in known
            if k in fixed and (held.get(k) or None) != (arguments.get(k) or None)
        ]
        if other:
            raise UserError(
                f"{folder} contains a run with other values of {', '.join(other)}: give the same values "
                "to resume it, or choose another folder with -o."
            )
    elif folder.exists() and not all(is_partial(p) for p in folder.iterdir()):
        raise UserError(
            f"{folder} exists and was not created by 'semiseg run': choose another folder with -o."
        )
    with atomic_output(path) as partial:
        partial.write_text(json.dumps(arguments, indent=1) + "\n", encoding="utf-8")


def _plan(
    data: PreparedData,
    labelled: str,
    method: str | None,
    preset: str | None,
    settings: list[str],
    seconds: float | None,
    device: str,
    threads: int | None,
    console: Console,
) -> tuple[str | None, list[str]]:
    """Choose the method and the settings of its iterations from the images and the time."""
    if threads is not None:
        torch.set_num_threads(threads)
    unlabelled = bool(cases_of(data, choose_patients(data, labelled, None)).unlabelled)
    chosen, why = method, ""
    if method is None and preset is None:
        chosen = "mcsc" if unlabelled else "supervised"
        why = f"there are {'' if unlabelled else 'no '}unlabelled images"
    count, each = 0, 0.0
    if seconds is not None:
        each = measure_step_seconds(data, chosen, labelled, preset, settings, device)
        count = _affordable(seconds, each)
        if why and unlabelled and count < FEWEST:
            why = (
                f"{duration(seconds)} allow only {count:,} iterations with unlabelled images, "
                f"which did not help below {FEWEST:,} iterations"
            )
            chosen = "supervised"
            each = measure_step_seconds(data, chosen, labelled, preset, settings, device)
            count = _affordable(seconds, each)
    if why:
        console.info(f"method: {chosen}, since {why} (to change it: --method)")
    if seconds is None:
        return chosen, settings
    console.info(
        f"{plural(count, 'iteration')} of about {each:.2f} s fit into {duration(seconds)} (--time)"
    )
    every = max(count // 10, 1)
    return chosen, [
        f"training.iterations={count}", f"training.validate_every={every}",
        f"training.checkpoint_every={every}", *settings,
    ]  # fmt: skip


def _affordable(seconds: float, each: float) -> int:
    return min(max(int(FOR_STEPS * seconds / each), 1), MOST)


def _score(
    training: RunFolder, data: PreparedData, device: str, console: Console
) -> Summary | None:
    """Score the test part, else the validation part; None if neither has labels."""
    split = training.split().split
    for part, patients in (("test", split.test), ("validation", split.validation)):
        if data.of_patients(patients, labelled=True):
            return evaluate(
                training.folder, on=part, data=data.folder, device=device, console=console
            )
    console.warn("no labelled case is left to score: label more cases, or inspect the masks.")
    return None


def _masks(
    source: Path,
    data: PreparedData,
    training: RunFolder,
    reading: ReadOptions,
    out: Path,
    device: str,
    console: Console,
) -> int:
    """Predict all cases whose labels were not used for training, on their own grids."""
    request = dataclasses.replace(Request(**reading), max_side=WHOLE)
    layout, _ = find_layout(source, request.layout)
    known = {case.identifier for case in cases_of(data, training.split()).labelled}
    cases = [
        case for case in layout.scan(source, request.options).cases if case.identifier not in known
    ]
    predictor = load_predictor(training.folder, device=device)
    out.mkdir(exist_ok=True)
    written = 0
    for case in console.track(cases, "predicting"):
        target = out / f"{case.identifier}{_mask_suffix(case)}"
        if not target.exists():
            try:
                write_prediction(predictor, case.read(), target)
            except UserError as error:
                console.warn(f"skipped: {error}")
                continue
        written += 1
    console.info(f"{plural(written, 'mask')} in {out}")
    return written


def _mask_suffix(case: SourceCase) -> str:
    """The suffix of a mask's name: that of pictures and stacks of pictures, else NIfTI's."""
    image = case.files[0]
    found = find_format(image)
    own = found is not None and found.kind == "picture"
    return (found if found is not None and own else NIFTI).mask_suffix(image)
