"""Load the networks and the data of a run."""

from pathlib import Path

import torch
from torch import Tensor

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.data.identity import changed_parts
from semiseg.data.manifest import Case, PreparedData, window_of
from semiseg.errors import UserError, unknown
from semiseg.files import is_partial
from semiseg.inference.base import Resampling
from semiseg.inference.predictors import AnyPredictor, build_predictor
from semiseg.methods.base import Method
from semiseg.networks.build import without_pretrained
from semiseg.training.checkpoints import load_weights
from semiseg.training.device import torch_device
from semiseg.training.run_folder import RunFolder


def load_predictor(
    run: Path | str,
    *,
    network: str | None = None,
    weights: str = "best",
    device: str = "cpu",
    flips: bool = False,
    resampling: Resampling = "probabilities",
) -> AnyPredictor:
    """Build a predictor from one network of a finished or stopped run.

    Args:
        run: the run's folder.
        network: one of the method's networks; default: the one meant for inference.
        weights: 'best' (by validation Dice; 'last' if there are no validation cases), 'last' or
            'step-N'.
        device: auto, cpu or cuda.
        flips: average the predictions of mirrored copies.
        resampling: see `Predictor`.

    Raises:
        UserError: if the network or the weights are unknown, the run is damaged, or ``flips`` is set and
            the training had none.
    """
    folder = RunFolder(run)
    config, task = folder.config(), folder.task()
    if flips and not config.data.mirrored_axes:
        raise UserError(
            f"--flips: {folder.folder} was trained without flips, so it does not know mirrored images and "
            "would lose structures: leave out --flips, or train with data.mirror_axes=[1] or "
            "data.quarter_turns_and_flips=0.5."
        )
    _, network = choose_network(config, network)
    where = torch_device(device)
    model = load_method(folder, weights, where)

    def logits(images: Tensor) -> Tensor:
        return model.logits(images, network)

    return build_predictor(logits, task, config.data, where, flips, resampling)


def load_method(folder: RunFolder, weights: str, device: torch.device) -> Method:
    """Load a run's method with its trained weights, in evaluation mode.

    Raises:
        UserError: if the run did not keep these weights, or they are damaged.
    """
    config, path = folder.config(), folder.weights / f"{weights}.safetensors"
    kept = sorted(f.stem for f in folder.weights.glob("*.safetensors") if not is_partial(f))
    if kept and weights not in kept:
        raise UserError(
            f"--weights {weights}: {path} does not exist; this run has {' and '.join(kept)}."
        )
    method = methods.entry(config.method).load()
    model = method(folder.task(), without_pretrained(config))  # all weights come from the file
    load_weights(path, model)
    return model.to(device).eval()


def open_data(run: RunFolder, data: Path | str | None, remedy: str) -> PreparedData:
    """Open the prepared data of a run, or ``data`` if given; the run's data with the run's window.

    Raises:
        UserError: if the run's data were moved (the message ends with ``remedy``), or the folder is not
            a run.
    """
    run.config()
    if data is not None:
        given = PreparedData(data)
        return _as_trained(run, given) if is_same(run, given) else given
    place = Path(run.facts().data)
    if not (place / "manifest.json").is_file():
        raise UserError(f"The training data of {run.folder} are no longer in {place}: {remedy}.")
    return _as_trained(run, PreparedData(place))


def _as_trained(run: RunFolder, data: PreparedData) -> PreparedData:
    """The run's data with the window of its training, which may follow its labels."""
    intensity = run.task().intensity
    follows = intensity.kind == "window" and window_of(data.manifest.cases) is not None
    return data.with_intensity(intensity) if follows else data


def is_same(run: RunFolder, data: PreparedData) -> bool:
    """Whether ``data`` are the run's, in any folder: they have the same classes and patients."""
    split = run.split().split
    known = {case.patient for case in data.manifest.cases}
    patients = {*split.train, *split.validation, *split.test}
    return data.task.classes == run.task().classes and known >= patients


def changes_since(run: RunFolder, data: PreparedData) -> list[str]:
    """What differs between ``data`` and the data that a run was trained on, in words; empty if nothing.

    Of a run of an earlier version only the patients and the task are known.
    """
    known = run.facts().identity
    if known:
        return changed_parts(known, data.identity)
    same = is_same(run, data) and _as_trained(run, data).task == run.task()
    return [] if same else ["the patients or the task"]


def part_of(run: RunFolder, data: PreparedData, on: str) -> list[Case]:
    """The cases of one part that have a label: 'validation', 'test' or 'unlabelled'.

    'unlabelled' are training cases whose labels the run did not read. Its pseudo-labels can be scored on
    them.

    Raises:
        UserError: if there is none; the message suggests another part.
    """
    same = is_same(run, data)
    known = run.split()
    # the run's own split, even if a copy of the data has another one: no training case is scored as test
    split = known.split if same else data.manifest.split
    spare = [p for p in known.split.train if p not in set(known.labelled)] if same else []
    parts = {"validation": split.validation, "test": split.test, "unlabelled": tuple(spare)}
    if on not in parts:
        raise UserError(f"--on {on}: choose validation, test or unlabelled.")
    found = {name: data.of_patients(patients, labelled=True) for name, patients in parts.items()}
    if found[on]:
        return found[on]
    if on == "unlabelled":
        raise UserError(
            f"{data.folder} has no label that {run.folder} did not read, so its pseudo-labels cannot be "
            "scored: train with a smaller --labelled, or choose --on validation or test."
        )
    other = "test" if on == "validation" else "validation"
    if found[other]:
        raise UserError(
            f"{data.folder} has no labelled {on} case: choose --on {other}, or other data."
        )
    raise UserError(
        f"{data.folder} has no labelled {on} or {other} case: prepare it with such a part (semiseg "
        "prepare --split), or score masks (semiseg predict, then semiseg evaluate MASKS REFERENCES)."
    )


def choose_network(config: RunConfig, network: str | None) -> tuple[type[Method], str]:
    """The class of a run's method, and the name of one of its networks (None: the one for inference).

    Raises:
        UserError: if the method has no such network.
    """
    method = methods.entry(config.method).load()
    names = method.network_attributes(config)
    if network is not None and network not in names:
        raise unknown(f"network of {config.method}", network, names)
    return method, network or names[0]
