"""``semiseg predict``: segment new images on their own grids."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch

from semiseg.console import Console, Repeated
from semiseg.data.task import Task
from semiseg.errors import UserError, reason_to_skip
from semiseg.files import is_partial, remove_partials
from semiseg.formats import is_image
from semiseg.formats.remarks import notes_on_files
from semiseg.formats.stack import check_uneven
from semiseg.locking import one_at_a_time, remove_partials_below
from semiseg.text import joined, plural
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.ensemble import Runs, find_runs, load_networks
from semiseg.workflows.inputs import Input, as_inputs, find_images
from semiseg.workflows.new_folder import make_folder
from semiseg.workflows.predicted_by import ORIGIN, check_origin, origin_of, write_origin
from semiseg.workflows.prediction_files import probability_files, write_prediction
from semiseg.workflows.prediction_record import PredictionRecord
from semiseg.workflows.prediction_table import NAME, read_predictions


@dataclasses.dataclass(frozen=True)
class PredictResult:
    """Number of masks written, number of images skipped because their mask existed, and errors."""

    written: int
    skipped: int
    failed: tuple[str, ...]


@one_at_a_time("predicting")
def predict(
    run: Runs,
    images: Sequence[Path | str],
    out: Path | str,
    *,
    network: str | None = None,
    weights: str = "best",
    probabilities: bool = False,
    flips: bool = False,
    with_folds: bool = False,
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
    images. ``.predicted-by.json`` records the runs, networks and weights of the masks.

    Several runs are an ensemble: each predicts the image as it would alone, and their probabilities are
    averaged on the image's grid with equal weights. Their methods, networks and settings may differ, but not
    the channels, the classes and the kind of the images.

    Args:
        run: the run's folder, or that of `run`; several are an ensemble.
        images: image files, folders of images or folders of DICOM series.
        out: the folder for the masks.
        network: one of the method's networks; default: the one meant for inference. The same for all runs.
        weights: 'best', 'last' or 'step-N'; the same for all runs.
        probabilities: also write ``NAME_prob``, with the classes as a fourth axis or as components; for
            pictures and stacks, one grey PNG or TIFF per class.
        flips: average the predictions of mirrored copies.
        with_folds: whether to add the networks of the cross-validation of `run`.
        largest: keep only the largest connected component of each class.
        device: auto, cpu or cuda.
        threads: number of CPU threads; default: the number of cores.
        uneven_slices: 'refuse' or 'resample' (to the smallest distance): how to treat DICOM series whose
            slices are at uneven distances.
        overwrite: replace existing masks.
        dry_run: print what would be done, and write nothing.
        console: prints messages and progress.

    Raises:
        UserError: if a run cannot be loaded, two runs have different tasks, no image is found, two images
            share a name, or the folder contains masks of other runs, networks or weights.
    """
    folder, runs = Path(out), find_runs(run, with_folds)
    if is_image(folder) and _is_new(folder):
        raise UserError(f"-o {folder} is the name of a file: give a folder for the masks.")
    if RunFolder(folder).exists():
        raise UserError(f"-o {folder} is a run: give another folder for the masks.")
    found = find_images(images, check_uneven(uneven_slices), console.warn, folder)
    inputs = as_inputs(found, runs[0].task(), images)
    targets = _targets(folder, inputs)
    if threads is not None:
        torch.set_num_threads(threads)
    predictor = load_networks(runs, network=network, weights=weights, device=device, flips=flips)
    origin = origin_of(runs, network, weights, flips, largest)
    if not overwrite:
        check_origin(folder, [t for t in targets if t.exists()], origin)
    if probabilities:
        _check_probabilities(targets, predictor.task)
    kept = set() if overwrite else _finished(folder, targets)
    if probabilities:  # an earlier call may have written only the masks
        classes = predictor.task.classes
        kept = {t for t in kept if all(file.exists() for file in probability_files(t, classes))}
    todo = {t: p for t, p in targets.items() if t not in kept}
    if len(todo) < len(targets):
        console.info(f"kept: {_masks(len(kept))} already in {folder} (to replace: --overwrite)")
    if len(runs) > 1:
        folders = joined([str(one.folder) for one in runs])
        console.info(f"ensemble of {plural(len(runs), 'network')}: {folders}")
    if dry_run:
        console.info(f"dry run: {plural(len(todo), 'image')} would be predicted into {folder}")
        return PredictResult(0, len(targets) - len(todo), ())
    for place in {target.parent for target in todo} - {folder}:
        remove_partials(place)
    if (folder / ORIGIN).is_file():  # else the other sub-folders may be of anyone
        remove_partials_below(folder)
    make_folder(folder)
    write_origin(folder, origin)
    failed, converted = [], []
    remarks: dict[str, list[str]] = {}
    # the final network of a cross-validation was trained on the images of all folds
    record = PredictionRecord(find_runs(run) if with_folds else runs, folder, todo)
    skipped = Repeated(console, "skipped")
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


def _masks(count: int) -> str:
    return plural(count, "mask")
