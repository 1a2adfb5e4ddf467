"""``semiseg predict``: masks of new images on their own grids."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from semiseg.console import Console
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.files import atomic_output
from semiseg.formats import is_image
from semiseg.text import plural
from semiseg.training.checkpoints import digest
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.inputs import Input, as_inputs, find_images
from semiseg.workflows.loading import choose_network, load_predictor
from semiseg.workflows.new_folder import make_folder
from semiseg.workflows.prediction_files import write_prediction

ORIGIN = ".predicted-by.json"


@dataclasses.dataclass(frozen=True)
class PredictResult:
    """Masks written, images passed over because their mask was there, and 'file: problem' lines."""

    written: int
    skipped: int
    failed: tuple[str, ...]


def predict(
    run: Path | str,
    images: Sequence[Path | str],
    out: Path | str,
    *,
    network: str | None = None,
    weights: str = "best",
    probabilities: bool = False,
    flips: bool = False,
    largest: bool = False,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    console: Console = Console(),  # noqa: B008 - holds nothing
) -> PredictResult:
    """Predict files, or all images of folders, into ``out``.

    A volume gives a mask of its own format on its grid (with NIfTI's affine and header), a DICOM
    series one in NIfTI, a picture a PNG, a stack (TIFF of several pages) a TIFF of class codes. One bad
    file is reported and passed over. Masks that are already there are kept, so that a stopped
    prediction goes on, unless ``overwrite``; masks of another run, network or weights are refused
    (``.predicted-by.json`` says whose they are). ``probabilities`` writes them beside the mask
    (NAME_prob: the classes are a fourth axis, or components; for pictures and stacks one grey PNG or
    TIFF per class). ``largest`` keeps of each class its largest connected piece alone.

    Raises:
        UserError: where the run cannot be loaded, nothing is found, two inputs share a name, or the
            folder holds others' masks.
    """
    folder, held = Path(out), RunFolder(run)
    held.config()  # says so where it is no run
    if is_image(folder) and not folder.is_dir():
        raise UserError(f"-o {folder} names a file: give a folder for the masks.")
    found = find_images(images)
    inputs = as_inputs(found, held.task())
    targets = _targets(folder, inputs)
    if threads is not None:
        torch.set_num_threads(threads)
    predictor = load_predictor(run, network=network, weights=weights, device=device, flips=flips)
    origin = _origin(held, network, weights, flips, largest)
    if not overwrite:
        _check_origin(folder, [t for t in targets if t.exists()], origin)
    todo = {t: p for t, p in targets.items() if overwrite or not t.exists()}
    if len(todo) < len(targets):
        kept = _masks(len(targets) - len(todo))
        console.say(f"kept: {kept} already in {folder} (--overwrite predicts anew)")
    if dry_run:
        console.say(f"dry run: {plural(len(todo), 'image')} would be predicted into {folder}")
        return PredictResult(0, len(targets) - len(todo), ())
    make_folder(folder)
    _write_origin(folder / ORIGIN, origin)
    failed, converted = [], []
    for target, image in console.track(todo.items(), "predicting"):
        try:
            write_prediction(
                predictor, image.read(predictor.task), target, image.file,
                probabilities=probabilities, largest=largest,
            )  # fmt: skip
            if image.converted(predictor.task):
                converted.append(image)
        except (UserError, MemoryError) as error:
            failed.append(str(error) or f"{image}: too large for this machine's memory.")
            console.warn(f"skipped: {failed[-1]}")
    if converted:
        console.warn(_conversion(converted, predictor.task))
    written = len(todo) - len(failed)
    console.say(f"{_masks(written)} written to {folder}; {len(failed)} failed")
    return PredictResult(written, len(targets) - len(todo), tuple(failed))


def _targets(folder: Path, inputs: Sequence[Input]) -> dict[Path, Input]:
    """The mask's file of each image.

    Raises:
        UserError: where two images would write one file, or a mask would replace an image.
    """
    targets: dict[Path, Input] = {}
    for image in inputs:
        target = folder / (image.stem + image.suffix)
        if target in targets:
            raise UserError(
                f"{targets[target]} and {image} would write the same mask: predict them into different "
                "folders with -o."
            )
        targets[target] = image
    read = {path.resolve() for image in inputs for path in image.paths}
    clash = next((target for target in targets if target.resolve() in read), None)
    if clash is not None:
        raise UserError(f"The mask of {clash} would overwrite the image itself: choose another -o.")
    return targets


def _conversion(converted: Sequence[Input], task: Task) -> str:
    """What is said of pictures that were made grey, or coloured."""
    grey = task.channels == 1
    return (
        f"{plural(len(converted), 'image')} (such as {converted[0]}) of another kind than those of the "
        f"training, which were {'grey' if grey else 'in colour'}: turned into "
        f"{'grey' if grey else 'RGB'}; check the masks."
    )


def _origin(
    run: RunFolder, network: str | None, weights: str, flips: bool, largest: bool
) -> dict[str, str]:
    """What decides on a mask; ``run`` is said, but a run that was moved is the same run."""
    return {
        "run": str(run.folder.resolve()),
        "network": choose_network(run.config(), network)[1],
        "weights": f"{weights} ({digest(run.weights / f'{weights}.safetensors')})",
        "flips": "yes" if flips else "no",
        "largest": "yes" if largest else "no",
    }


def _write_origin(path: Path, origin: Mapping[str, str]) -> None:
    text = json.dumps(origin, indent=1) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return  # also on a full disk a prediction goes on
    with atomic_output(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _check_origin(folder: Path, masks: Sequence[Path], origin: Mapping[str, str]) -> None:
    """Masks that are kept must be those that would be made.

    Raises:
        UserError: saying whose masks are there.
    """
    if not masks:
        return
    try:
        held = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        held.setdefault("largest", "no")  # masks of before there was a choice
        same = all(held[key] == origin[key] for key in origin if key != "run")
        whose = f"of {held['run']}, network {held['network']}, weights {held['weights']}, " + (
            f"flips {held['flips']}, largest pieces alone {held['largest']}"
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        same, whose = False, "and nothing says whose"
    if not same:
        raise UserError(
            f"{folder} holds other masks ({whose}), such as {masks[0].name}: choose another -o, or "
            "replace them with --overwrite."
        )


def _masks(count: int) -> str:
    return plural(count, "mask")
