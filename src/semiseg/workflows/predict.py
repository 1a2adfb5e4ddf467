"""``semiseg predict``: masks of new images on their own grids."""

import contextlib
import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from semiseg.data.images.header import read_header
from semiseg.data.images.names import IMAGE_SUFFIXES, NIFTI_SUFFIXES, stem_of, suffix_of
from semiseg.data.images.nifti import read_nifti, write_nifti_mask, write_nifti_probabilities
from semiseg.data.images.pictures import read_picture, write_picture_mask
from semiseg.data.images.tiff import TIFF_SUFFIXES, write_tiff_stack
from semiseg.data.splits import plural
from semiseg.data.task import Task
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import replacing
from semiseg.inference.predictor import Predictor
from semiseg.reporting.console import Console
from semiseg.training.checkpoints import digest
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.loading import choose_network, load_predictor
from semiseg.workflows.setting import make_folder

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
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    console: Console = Console(),  # noqa: B008 - holds nothing
) -> PredictResult:
    """Predict files, or all images of folders, into ``out``.

    NIfTI gives NIfTI on the input's grid, affine and header; a picture gives a PNG, a stack (TIFF of
    several pages) a TIFF of class codes. One bad file is reported and passed over. Masks that are
    already there are kept, so that a stopped prediction goes on, unless ``overwrite``; masks of
    another run, network or weights are refused (``.predicted-by.json`` says whose they are).
    ``probabilities`` writes them beside the mask (NAME_prob: a 4D NIfTI; for pictures and stacks one
    grey PNG or TIFF per class).

    Raises:
        UserError: where the run cannot be loaded, nothing is found, two inputs share a name, or the
            folder holds others' masks.
    """
    files = find_images(images)
    folder = Path(out)
    targets = {_target(folder, path): path for path in files}
    if len(targets) < len(files):
        twice = next(p for p in files if targets[_target(folder, p)] is not p)
        raise UserError(
            f"{twice} and {targets[_target(folder, twice)]} would write the same mask: predict them "
            "into different folders with -o."
        )
    clash = next((t for t, p in targets.items() if t.resolve() == p.resolve()), None)
    if clash is not None:
        raise UserError(f"The mask of {clash} would overwrite the image itself: choose another -o.")
    if threads is not None:
        torch.set_num_threads(threads)
    predictor = load_predictor(run, network=network, weights=weights, device=device, flips=flips)
    origin = _origin(RunFolder(run), network, weights, flips)
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
    for target, path in console.track(todo.items(), "predicting"):
        try:
            if _one(predictor, path, target, probabilities):
                converted.append(path)
        except (UserError, MemoryError) as error:
            failed.append(str(error) or f"{path}: too large for this machine's memory.")
            console.warn(f"skipped: {failed[-1]}")
    if converted:
        grey = predictor.task.channels == 1
        console.warn(
            f"{plural(len(converted), 'image')} (such as {converted[0]}) of another kind than those of the "
            f"training, which were {'grey' if grey else 'in colour'}: turned into "
            f"{'grey' if grey else 'RGB'}; check the masks."
        )
    written = len(todo) - len(failed)
    console.say(f"{_masks(written)} written to {folder}; {len(failed)} failed")
    return PredictResult(written, len(targets) - len(todo), tuple(failed))


def _origin(run: RunFolder, network: str | None, weights: str, flips: bool) -> dict[str, str]:
    """What decides on a mask; ``run`` is said, but a run that was moved is the same run."""
    return {
        "run": str(run.folder.resolve()),
        "network": choose_network(run.config().method, network)[1],
        "weights": f"{weights} ({digest(run.weights / f'{weights}.safetensors')})",
        "flips": "yes" if flips else "no",
    }


def _write_origin(path: Path, origin: Mapping[str, str]) -> None:
    text = json.dumps(origin, indent=1) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return  # also on a full disk a prediction goes on
    with replacing(path) as partial:
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
        same = all(held[key] == origin[key] for key in origin if key != "run")
        whose = f"of {held['run']}, network {held['network']}, weights {held['weights']}, " + (
            f"flips {held['flips']}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        same, whose = False, "and nothing says whose"
    if not same:
        raise UserError(
            f"{folder} holds other masks ({whose}), such as {masks[0].name}: choose another -o, or "
            "replace them with --overwrite."
        )


def _masks(count: int) -> str:
    return plural(count, "mask")


def find_images(images: Sequence[Path | str]) -> list[Path]:
    """The image files among ``images``; folders are searched without their sub-folders.

    Raises:
        UserError: for a path that does not exist, a file of another kind, or nothing at all.
    """
    files: list[Path] = []
    for entry in map(Path, images):
        if entry.is_dir():
            inside = sorted(p for p in entry.iterdir() if p.is_file() and suffix_of(p))
            files += [p for p in inside if not p.name.startswith(".")]
        elif not entry.exists():
            raise UserError(f"{entry} does not exist: name an image or a folder of images.")
        elif not suffix_of(entry):
            raise UserError(f"{entry} is no image that can be read ({', '.join(IMAGE_SUFFIXES)}).")
        else:
            files.append(entry)
    if not files:
        raise UserError(
            f"No image found in {', '.join(map(str, images))}: files must end in "
            f"{', '.join(IMAGE_SUFFIXES)}, and sub-folders are not searched{_hint(images)}."
        )
    return list(dict.fromkeys(files))


def _hint(images: Sequence[Path | str]) -> str:
    """The sub-folder that was probably meant."""
    folders = [Path(entry) / "images" for entry in images]
    there = next((folder for folder in folders if folder.is_dir()), None)
    return f" (did you mean {there}?)" if there else ""


def _is_nifti(path: Path) -> bool:
    return suffix_of(path) in NIFTI_SUFFIXES


def _target(folder: Path, path: Path) -> Path:
    if _is_nifti(path):
        return folder / f"{stem_of(path)}.nii.gz"
    stack = False
    if suffix_of(path) in TIFF_SUFFIXES:
        with contextlib.suppress(UserError):  # which is said when its turn comes
            stack = read_header(path).pages > 1
    return folder / (stem_of(path) + (".tif" if stack else ".png"))


def read_image(path: Path, task: Task) -> Volume:
    """An image with the channels that the task has.

    Raises:
        UserError: where it cannot be read, or is a picture where volumes are meant or the reverse:
            their intensities are scaled in different ways.
    """
    if _is_nifti(path):
        if task.kind != "volumes":
            raise _other_kind(path, "NIfTI image", task)
        return read_nifti(path, task.channels)
    header = read_header(path)
    if (header.pages > 1) != (task.kind == "volumes"):
        raise _other_kind(path, "stack of pictures" if header.pages > 1 else "picture", task)
    if header.deep != (task.intensity.kind != "window"):
        depths = ("more than 8 bits a pixel", "8 bits a pixel")
        raise UserError(
            f"{path} has {depths[not header.deep]}, but the run was trained on images with "
            f"{depths[header.deep]}: convert it."
        )
    return read_picture(path, task.channels, header=header)


def _other_kind(path: Path, what: str, task: Task) -> UserError:
    return UserError(f"{path} is a {what}, but the run was trained on {task.kind}: leave it out.")


def _one(predictor: Predictor, path: Path, target: Path, probabilities: bool) -> bool:
    """Predict one file and write its mask last: where it is, all is.

    Returns:
        Whether a coloured picture had to become grey, or a grey one coloured.
    """
    volume = read_image(path, predictor.task)
    if not probabilities:
        mask = predictor.labels(volume.image)
    else:
        values = predictor.probabilities(volume.image)  # [D, K, H, W]
        mask = values.argmax(1).astype(np.uint8)
        if _is_nifti(path):
            by_class = np.moveaxis(values, 1, 0)
            beside = target.with_name(f"{stem_of(target)}_prob.nii.gz")
            write_nifti_probabilities(beside, by_class, path)
        else:
            _write_maps(target, values, predictor.task)
    if _is_nifti(path):
        write_nifti_mask(target, mask, path)
        return False
    write_picture_mask(target, mask, len(predictor.task.classes))
    return read_header(path).channels != predictor.task.channels


def _write_maps(target: Path, values: NDArray[np.float32], task: Task) -> None:
    """One 8-bit grey PNG (of a stack: TIFF) per foreground class of [D, K, H, W]: 255 is certain."""
    for name, value in zip(task.foreground, np.moveaxis(values, 1, 0)[1:], strict=True):
        safe = re.sub(r"[^\w#.-]+", "-", name)  # a class may be called anything
        path = target.with_name(f"{target.stem}_prob_{safe}{target.suffix}")
        eight_bit = np.rint(255 * value).astype(np.uint8)
        if target.suffix == ".tif":
            write_tiff_stack(path, eight_bit)
            continue
        with replacing(path) as partial:
            Image.fromarray(eight_bit[0]).save(partial, format="PNG")
