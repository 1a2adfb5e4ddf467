"""From a run's folder to a network that predicts."""

from pathlib import Path

import torch
from torch import Tensor

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.data.manifest import Case, PreparedData
from semiseg.errors import UserError, unknown
from semiseg.inference.predictor import Resampling
from semiseg.inference.volumes import AnyPredictor, build_predictor
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
    """A predictor by one network of a finished or stopped run.

    Args:
        run: the run's folder.
        network: one of the method's networks; default: the one meant for inference.
        weights: 'best' (on validation cases; the last without any), 'last' or 'step-N'.
        device: auto, cpu or cuda.
        flips: average over mirrored copies.
        resampling: see `Predictor`.

    Raises:
        UserError: for an unknown network or weights, or a damaged run.
    """
    folder = RunFolder(run)
    config, task = folder.config(), folder.task()
    _, network = choose_network(config, network)
    where = torch_device(device)
    model = load_method(folder, weights, where)

    def logits(images: Tensor) -> Tensor:
        return model.logits(images, network)

    return build_predictor(logits, task, config.data, where, flips, resampling)


def load_method(folder: RunFolder, weights: str, device: torch.device) -> Method:
    """A run's method with its trained weights, in evaluation mode.

    Raises:
        UserError: for weights that the run has not kept, or damaged ones.
    """
    config, path = folder.config(), folder.weights / f"{weights}.safetensors"
    kept = sorted(file.stem for file in folder.weights.glob("*.safetensors"))
    if kept and weights not in kept:
        raise UserError(
            f"--weights {weights}: {path} does not exist; this run has {' and '.join(kept)}."
        )
    method = methods.entry(config.method).load()
    model = method(folder.task(), without_pretrained(config))  # the file's replace all others
    load_weights(path, model)
    return model.to(device).eval()


def open_data(run: RunFolder, data: Path | str | None, remedy: str) -> PreparedData:
    """The prepared data of a run, or ``data`` where they are named.

    Raises:
        UserError: where the run's data have gone from their place (``remedy`` says what to do), or
            the folder is no run, such as a benchmark's own.
    """
    run.config()
    if data is not None:
        return PreparedData(data)
    place = Path(run.read_json("run.json")["data"])
    if not (place / "manifest.json").is_file():
        raise UserError(
            f"The data that {run.folder} was trained on are no longer in {place}: {remedy}."
        )
    return PreparedData(place)


def is_same(run: RunFolder, data: PreparedData) -> bool:
    """Whether ``data`` are those of the run, wherever they lie: the same classes and patients."""
    split = run.split().split
    known = {case.patient for case in data.manifest.cases}
    patients = {*split.train, *split.validation, *split.test}
    return data.task.classes == run.task().classes and known >= patients


def part_of(run: RunFolder, data: PreparedData, on: str) -> list[Case]:
    """The cases of one part that have a reference: 'validation', 'test' or 'unlabelled'.

    'unlabelled' are training cases whose label the run never read, as in every comparison of budgets: on
    them its pseudo-labels can be scored.

    Raises:
        UserError: where there is none, saying what can be had instead.
    """
    same = is_same(run, data)
    known = run.split()
    # the run's own split also of a copy that was split anew: what it was trained on stays apart
    split = known.split if same else data.manifest.split
    spare = [p for p in known.split.train if p not in set(known.labelled)] if same else []
    parts = {"validation": split.validation, "test": split.test, "unlabelled": tuple(spare)}
    if on not in parts:
        raise UserError(f"--on {on}: take validation, test or unlabelled.")
    found = {name: data.of_patients(patients, labelled=True) for name, patients in parts.items()}
    if found[on]:
        return found[on]
    if on == "unlabelled":
        raise UserError(
            f"{data.folder} has no training case whose label {run.folder} left unread, so its "
            "pseudo-labels cannot be scored: train with fewer --labelled than there are, or take --on "
            "validation or test."
        )
    other = "test" if on == "validation" else "validation"
    if found[other]:
        raise UserError(
            f"{data.folder} has no labelled {on} case: take --on {other}, or other data."
        )
    raise UserError(
        f"{data.folder} has no labelled {on} case, nor a {other} case; prepare with such a part "
        "(semiseg prepare --split), or score masks: semiseg predict, then semiseg evaluate MASKS "
        "REFERENCES."
    )


def choose_network(config: RunConfig, network: str | None) -> tuple[type[Method], str]:
    """The class of a run's method and one of its networks; None: the one for inference.

    Raises:
        UserError: for a network that the method lacks.
    """
    method = methods.entry(config.method).load()
    names = method.networks_of(config)
    if network is not None and network not in names:
        raise unknown(f"network of {config.method}", network, names)
    return method, network or names[0]
