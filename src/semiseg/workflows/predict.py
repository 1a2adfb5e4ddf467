"""``semiseg predict``: segment new images on their own grids."""

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from pydantic import BaseModel

from semiseg.console import Console, Repeated
from semiseg.data.task import Task
from semiseg.digests import SHORT, file_digest
from semiseg.errors import UserError, reason_to_skip
from semiseg.files import atomic_output, is_partial, remove_partials
from semiseg.formats import is_image
from semiseg.formats.remarks import notes_on_files
from semiseg.formats.stack import check_uneven
from semiseg.locking import one_at_a_time, remove_partials_below
from semiseg.stored import read_stored
from semiseg.text import plural
from semiseg.training.run_folder import RunFolder
from semiseg.training.run_output import find_run
from semiseg.workflows.inputs import Input, as_inputs, find_images
from semiseg.workflows.loading import choose_network, load_predictor
from semiseg.workflows.new_folder import make_folder
from semiseg.workflows.prediction_files import probability_files, write_prediction
from semiseg.workflows.prediction_record import PredictionRecord
from semiseg.workflows.prediction_table import NAME, read_predictions

ORIGIN = ".predicted-by.json"


class PredictedBy(BaseModel):
    """The content of ``.predicted-by.json``: everything that the masks depend on."""

    run: str
    network: str
    weights: str
    flips: str
    largest: str = "no"  # files of earlier versions lack it


@dataclasses.dataclass(frozen=True)
class PredictResult:
    """Number of masks written, number of images skipped because their mask existed, and errors."""

    written: int
    skipped: int
    failed: tuple[str, ...]


@one_at_a_time("predicting")
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
    uneven_slices: str = "refuse",
    overwrite: bool = False,
    dry_run: bool = False,
    console: Console = Console(),  # noqa: B008 - it has no state
) -> PredictResult:
    """Predict image files, or all images in folders, and write the masks into ``out``.

    Folders are searched with their sub-folders, and the masks lie in sub-folders of the same names.

    The mask of a volume has the format and the grid of its image (for NIfTI, also the affine and the
    header). The mask of a DICOM series is a NIfTI file, of a picture a PNG, of a stack (a TIFF of several
    pages) a TIFF. Masks contain the values of the training labels. A file that cannot be read is reported
    and skipped. Existing masks are kept, so that an interrupted prediction can be resumed.
    ``predictions.csv`` lists the masks, the least certain first, and images that are unlike the training
    images. ``.predicted-by.json`` records the run, network and weights of the masks.

    Args:
        run: the run's folder, or that of `run`.
        images: image files, folders of images or folders of DICOM series.
        out: the folder for the masks.
        network: one of the method's networks; default: the one meant for inference.
        weights: 'best', 'last' or 'step-N'.
        probabilities: also write ``NAME_prob``, with the classes as a fourth axis or as components; for
            pictures and stacks, one grey PNG or TIFF per class.
        flips: average the predictions of mirrored copies.
        largest: keep only the largest connected component of each class.
        device: auto, cpu or cuda.
        threads: number of CPU threads; default: the number of cores.
        uneven_slices: 'refuse' or 'resample' (to the smallest distance): how to treat DICOM series whose
            slices are at uneven distances.
        overwrite: replace existing masks.
        dry_run: print what would be done, and write nothing.
        console: prints messages and progress.

    Raises:
        UserError: if the run cannot be loaded, no image is found, two images share a name, or the folder
            contains masks of another run, network or weights.
    """
    run = find_run(run)
    folder, held = Path(out), RunFolder(run)
    held.config()  # raises if it is not a run
    if is_image(folder) and _is_new(folder):
        raise UserError(f"-o {folder} is the name of a file: give a folder for the masks.")
    if RunFolder(folder).exists():
        raise UserError(f"-o {folder} is a run: give another folder for the masks.")
    found = find_images(images, check_uneven(uneven_slices), console.warn, folder)
    inputs = as_inputs(found, held.task(), images)
    targets = _targets(folder, inputs)
    if threads is not None:
        torch.set_num_threads(threads)
    predictor = load_predictor(run, network=network, weights=weights, device=device, flips=flips)
    origin = _origin(held, network, weights, flips, largest)
    if not overwrite:
        _check_origin(folder, [t for t in targets if t.exists()], origin)
    if probabilities:
        _check_probabilities(targets, predictor.task)
    kept = set() if overwrite else _finished(folder, targets)
    if probabilities:  # an earlier call may have written only the masks
        classes = predictor.task.classes
        kept = {t for t in kept if all(file.exists() for file in probability_files(t, classes))}
    todo = {t: p for t, p in targets.items() if t not in kept}
    if len(todo) < len(targets):
        console.info(f"kept: {_masks(len(kept))} already in {folder} (to replace: --overwrite)")
    if dry_run:
        console.info(f"dry run: {plural(len(todo), 'image')} would be predicted into {folder}")
        return PredictResult(0, len(targets) - len(todo), ())
    for place in {target.parent for target in todo} - {folder}:
        remove_partials(place)
    if (folder / ORIGIN).is_file():  # else the other sub-folders may be of anyone
        remove_partials_below(folder)
    make_folder(folder)
    _write_origin(folder / ORIGIN, origin)
    failed, converted = [], []
    remarks: dict[str, list[str]] = {}
    record, skipped = PredictionRecord(held, folder, todo), Repeated(console, "skipped")
    for target, image in console.track(todo.items(), "predicting"):
        try:
            volume = image.read(predictor.task)
            if image.below.parts:
                make_folder(target.parent)
            done = write_prediction(
                predictor, volume, target, image.file, probabilities=probabilities, largest=largest
            )
            record.add(target, str(image), volume, done)
            for kind in volume.remarks:
                remarks.setdefault(kind, []).append(str(image))
            if image.converted(predictor.task):
                converted.append(image)
        except (UserError, MemoryError, OSError, RuntimeError) as error:
            failed.append(reason_to_skip(error, str(image), "predict it"))
            skipped.add(failed[-1], str(image), map(str, image.paths))
    skipped.finish()
    if converted:
        console.warn(_conversion(converted, predictor.task))
    for note in [*notes_on_files(remarks), *record.finish()]:
        console.warn(note)
    written = len(todo) - len(failed)
    console.info(f"{_masks(written)} written to {folder}; {len(failed)} failed")
    if record.rows:
        console.info(f"least certain first: {folder / NAME}")
    return PredictResult(written, len(targets) - len(todo), tuple(failed))


def _is_new(folder: Path) -> bool:
    """Whether ``folder`` is missing, a file, or contains only the lock of this call."""
    return not folder.is_dir() or all(is_partial(path) for path in folder.iterdir())


def _targets(folder: Path, inputs: Sequence[Input]) -> dict[Path, Input]:
    """The mask's file of each image.

    Raises:
        UserError: if two images have the same mask's file, or a mask would replace an image.
    """
    targets: dict[Path, Input] = {}
    for image in inputs:
        target = folder / image.below / (image.stem + image.suffix)
        if target in targets:
            raise UserError(
                f"{targets[target]} and {image} would write the same mask: predict them separately, with "
                "different folders for -o."
            )
        targets[target] = image
    read = {path.resolve() for image in inputs for path in image.paths}
    clash = next((target for target in targets if target.resolve() in read), None)
    if clash is not None:
        raise UserError(f"The mask of {clash} would overwrite the image itself: choose another -o.")
    return targets


def _finished(folder: Path, targets: Collection[Path]) -> set[Path]:
    """The masks that exist. One without a row in the table is of a killed process, and is predicted again.

    Without a table, all that exist count.
    """
    existing = {target for target in targets if target.exists()}
    if not (folder / NAME).is_file():
        return existing
    listed = {row.mask for row in read_predictions(folder)}
    return {target for target in existing if target.relative_to(folder).as_posix() in listed}


def _check_probabilities(targets: Mapping[Path, Input], task: Task) -> None:
    """Check that files of probabilities replace neither masks nor one another.

    Raises:
        UserError: if they would.
    """
    taken = dict(targets)
    for target, image in targets.items():
        for file in probability_files(target, task.classes):
            if file in taken:
                raise UserError(
                    f"The probabilities of {image} and the files of {taken[file]} would have the same name "
                    f"{file.name}: predict them separately, with different folders for -o."
                )
            taken[file] = image


def _conversion(converted: Sequence[Input], task: Task) -> str:
    """The warning about pictures that were converted to grey, or to colour."""
    grey = task.channels == 1
    return (
        f"converted to {'grey' if grey else 'RGB'}: {plural(len(converted), 'image')} (such as "
        f"{converted[0]}), since the training images were {'grey' if grey else 'in colour'}; check the "
        "masks."
    )


def _origin(
    run: RunFolder, network: str | None, weights: str, flips: bool, largest: bool
) -> dict[str, str]:
    """Everything that a mask depends on. ``run`` is not compared, since a run may be moved."""
    return {
        "run": str(run.folder.resolve()),
        "network": choose_network(run.config(), network)[1],
        "weights": f"{weights} ({file_digest(run.weights / f'{weights}.safetensors', SHORT)})",
        "flips": "yes" if flips else "no",
        "largest": "yes" if largest else "no",
    }


def _write_origin(path: Path, origin: Mapping[str, str]) -> None:
    text = json.dumps(origin, indent=1) + "\n"
    if path.is_file() and path.read_bytes() == text.encode():
        return  # nothing to write, so that it works on a full disk too
    with atomic_output(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _check_origin(folder: Path, masks: Sequence[Path], origin: Mapping[str, str]) -> None:
    """Check that the masks to keep have the given origin.

    Raises:
        UserError: if they do not; the message describes their origin.
    """
    if not masks:
        return
    try:
        held = read_stored(folder / ORIGIN, PredictedBy, "").model_dump()
        same = all(held[key] == origin[key] for key in origin if key != "run")
        whose = f"of {held['run']}, network {held['network']}, weights {held['weights']}, " + (
            f"flips {held['flips']}, largest components only {held['largest']}"
        )
    except UserError:  # missing or damaged
        same, whose = False, "of unknown origin"
    if not same:
        raise UserError(
            f"{folder} contains other masks ({whose}), such as {masks[0].name}: choose another -o, or "
            "replace them with --overwrite."
        )


def _masks(count: int) -> str:
    return plural(count, "mask")
