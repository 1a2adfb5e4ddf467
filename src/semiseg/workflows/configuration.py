"""From a person's words (data, method, budget, preset, settings) to everything that a training needs."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semiseg import methods, presets
from semiseg.config import Layer, Resolved, RunConfig, parse_assignments, resolve
from semiseg.data.loader import labelled_slices_of, unlabelled_slices_of
from semiseg.data.manifest import Case, Decision, Manifest, PreparedData
from semiseg.data.splits import counted, draw_labelled, parse_budget
from semiseg.data.task import IGNORE_INDEX, Task
from semiseg.data.volumes import VolumeStore
from semiseg.errors import UserError
from semiseg.files import is_partial
from semiseg.methods.base import Method
from semiseg.preparation.auto_config import SIZE, decide, small_preset, suit
from semiseg.text import plural
from semiseg.training.loop import Cases
from semiseg.training.run_folder import RunSplit
from semiseg.workflows.derived_settings import of_input

NETWORK_OF = {"swin": "transformer", "vnet": "vnet"}  # sections that concern one network alone
FEWEST_FOR_VALIDATION = 5
# one of them is in every run's folder, also in one whose beginning was interrupted
A_RUNS_FILES = {"config.yaml", "run.json", "error.txt"}


def resolve_config(
    data: Manifest,
    method: str | None,
    preset: str | None,
    settings: Sequence[str] = (),
    sections: Mapping[str, Any] | None = None,
    small: bool = False,
) -> Resolved:
    """Resolve the configuration: the method's needs, the data, the preset, ``--set``, a study's row.

    Args:
        data: the manifest of the data.
        method: default: the preset's.
        preset: name or file.
        settings: ``section.key=value`` each.
        sections: of a benchmark's variant; they come last, so that a row is what its name says.
        small: without a preset, begin from the method's own for a machine without a GPU, below what
            the data say.

    Raises:
        UserError: for an unknown method, preset or option, with the nearest name; for a setting of
            another method, where no ``sections`` say that several are compared.
    """
    content = presets.load(preset) if preset else {}
    name = method or content.get("method")
    if name is None:
        raise UserError(f"Say which method: --method {' | '.join(methods.table())}.")
    entry = methods.entry(name)
    given = parse_assignments(settings)
    # a preset of slices is for slices, whatever the data suggest
    named = content.get("data", {}).get("dimensions", 2) if preset else 3
    asked = given.get("data", {}).get("dimensions")
    volumes = 3 in entry.dimensions and (asked or named) == 3
    begun = content if preset or not small else presets.load(small_preset(name))
    parts = [layer.get(name) or {} for layer in (begun, given, sections or {})]
    decisions = suit(
        data.decisions or decide(data.task), data.task, name,
        entry.load().size_step({key: value for part in parts for key, value in part.items()}),
        volumes=volumes, small=small,
    )  # fmt: skip
    layers = [Layer(f"the method {name}", entry.load().settings)]
    if small and preset is None:
        suggested = any(d.option == "data.dimensions" for d in decisions)
        preset = small_preset(name, suggested or asked == 3)
        chosen = presets.sections(presets.load(preset))
        layers.append(Layer(f"preset '{preset}', as there is no GPU", chosen))
        affordable = chosen["data"].get("size", 0)
        layers += _layers([d for d in decisions if d.option != SIZE or d.value < affordable])
    else:
        layers += _layers(decisions)
        if preset:
            layers.append(Layer(f"preset '{preset}'", presets.sections(content)))
    others = [section for section in given if section in methods.table() and section != name]
    if others and sections is None:
        raise UserError(
            f"--set {others[0]}.{next(iter(given[others[0]]))}: that is an option of {others[0]}, but "
            f"{name} is trained."
        )
    if asked in (2, 3):  # before anything of a preset for slices contradicts it
        check_dimensions(data.task, name, int(asked))
    layers.append(Layer("--set", given))
    if sections:
        layers.append(Layer("the study", sections))
    resolved = resolve(name, entry.load().Options, list(methods.table()), layers, preset)
    check_dimensions(data.task, name, resolved.config.data.dimensions)
    return resolved


def check_dimensions(task: Task, method: str, dimensions: int) -> None:
    """Refuse volumes of pictures, and dimensions that a method is not made for.

    Raises:
        UserError: naming what fits.
    """
    if dimensions == 3 and task.kind == "pictures":
        raise UserError("data.dimensions 3 is for volumes, and these are pictures: take 2.")
    if dimensions not in methods.entry(method).dimensions:
        able = [name for name, line in methods.table().items() if dimensions in line.dimensions]
        raise UserError(
            f"{method} is for {'volumes' if dimensions == 2 else 'slices'}: take --set "
            f"data.dimensions={5 - dimensions}, or one of {', '.join(able)}."
        )


def check_volumes(data: PreparedData, cases: Cases, config: RunConfig) -> None:
    """Refuse to resample volumes that carry no spacing.

    Raises:
        UserError: naming the first.
    """
    if config.data.dimensions == 3 and config.data.spacing is not None:
        for case in (*cases.labelled, *cases.unlabelled, *cases.validation):
            VolumeStore(data, config.data.spacing, 0).shape(case)


def _layers(decisions: Sequence[Decision]) -> list[Layer]:
    """A layer a decision, since each has its own reason."""
    layers = []
    for decision in decisions:
        section, _, key = decision.option.partition(".")
        layers.append(Layer(f"the data: {decision.reason}", {section: {key: decision.value}}))
    return layers


def count_iterations(resolved: Resolved, cases: Cases) -> Resolved:
    """Turn ``training.epochs`` into iterations: an epoch is one pass over the labelled images.

    All methods of a comparison then have as many iterations, whatever part of a batch they fill
    with labelled images.
    """
    training = resolved.config.training
    if training.epochs is None:
        return resolved
    flat = resolved.config.data.dimensions == 2  # a patch of every volume is a pass in 3D
    images = len(labelled_slices_of(cases.labelled) if flat else cases.labelled)
    iterations = training.epochs * math.ceil(images / training.labelled_batch_size)
    config = resolved.config.model_copy(
        update={"training": training.model_copy(update={"iterations": iterations})}
    )
    origin = (
        f"{training.epochs:,} passes over {images:,} labelled {'images' if flat else 'volumes'}"
    )
    return Resolved(config, resolved.origins | {"training.iterations": origin})


def choose_precision(resolved: Resolved, device: torch.device) -> Resolved:
    """Turn ``training.precision`` auto into what it means on ``device``, for resuming anywhere."""
    training = resolved.config.training
    if training.precision != "auto":
        return resolved
    precision = "32-true"
    if device.type == "cuda":
        precision = "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    config = resolved.config.model_copy(
        update={"training": training.model_copy(update={"precision": precision})}
    )
    return Resolved(config, resolved.origins | {"training.precision": f"the device, {device.type}"})


def choose_patients(data: PreparedData, labelled: str, labelled_seed: int | None) -> RunSplit:
    """The patients whose labels a training reads, and those that choose its checkpoint.

    Without a validation part a fifth of the labelled patients serves; below five labelled patients
    there is none and the last checkpoint is taken.
    """
    split = data.manifest.split
    with_labels = _patients(data.of_patients(split.train, labelled=True))
    if not with_labels:
        raise UserError("The training part has no labelled case: prepare the data with labels.")
    chosen = draw_labelled(
        split, with_labels, parse_budget(labelled, len(with_labels)), labelled_seed
    )
    own = not data.of_patients(split.validation, labelled=True)
    if own and len(chosen) >= FEWEST_FOR_VALIDATION:
        count = max(len(chosen) // 5, 1)
        kept, held_out = chosen[:-count], chosen[-count:]
        split = split.model_copy(
            update={
                "train": tuple(p for p in split.train if p not in held_out),
                "validation": held_out,
            }
        )
        return RunSplit(split=split, labelled=kept, budget=labelled, validation_from_training=True)
    return RunSplit(split=split, labelled=chosen, budget=labelled)


def _patients(cases: Sequence[Case]) -> list[str]:
    return list(dict.fromkeys(case.patient for case in cases))


def cases_of(data: PreparedData, split: RunSplit) -> Cases:
    """The cases of a run's split. A labelled patient's cases without a label count as unlabelled."""
    labelled = data.of_patients(split.labelled, labelled=True)
    chosen = {case.identifier for case in labelled}
    unlabelled = [c for c in data.of_patients(split.split.train) if c.identifier not in chosen]
    validation = data.of_patients(split.split.validation, labelled=True)
    if not labelled:
        raise UserError("None of the chosen patients has a label: choose others with --labelled.")
    return Cases(labelled, unlabelled, validation)


def check_classes(data: PreparedData, cases: Cases) -> list[str]:
    """Sentences on classes that no labelled case shows, which nothing can then learn.

    Raises:
        UserError: where that holds for all of them.
    """
    seen: set[int] = set()
    for case in cases.labelled:
        if len(seen) == len(data.task.foreground):
            break
        codes = np.unique(np.asarray(data.label(case.identifier)))
        seen |= set(codes.tolist()) - {0, IGNORE_INDEX}
    missing = [n for code, n in enumerate(data.task.foreground, start=1) if code not in seen]
    if not missing:
        return []
    if len(missing) == len(data.task.foreground):
        raise UserError(
            "The labels of the labelled cases hold nothing but background: choose other cases with "
            "--labelled, or draw them anew with --labelled-seed."
        )
    return [
        f"no labelled case shows {' or '.join(missing)}, which therefore will not be learned: choose "
        "other cases with --labelled or --labelled-seed"
    ]


def check_terms(method: Method, config: RunConfig, cases: Cases) -> None:
    """Refuse a run in which a loss term could never act.

    Raises:
        UserError: naming the term and what to change.
    """
    name, iterations = config.method, config.training.iterations
    if method.uses_unlabelled and not cases.unlabelled and not _unlabelled_slices(config, cases):
        raise UserError(
            f"No unlabelled image is left for {name}: every training case is labelled. Take "
            "--method supervised, or fewer cases with --labelled."
        )
    for term, start in method.active_from(iterations).items():
        if start >= iterations:
            raise UserError(
                f"The loss term '{term}' of {name} would begin at iteration {start:,}, but the run has "
                f"{iterations:,}: raise training.iterations or let it begin earlier."
            )


def describe(data: PreparedData, resolved: Resolved, split: RunSplit, cases: Cases) -> list[str]:
    """Counts of what is counted, and every value that is not a default with its origin."""
    kind, name = data.task.kind, resolved.config.method
    ignored = _unlabelled_slices(resolved.config, cases)
    without = f", {plural(ignored, 'slice')} of them without a label" if ignored else ""
    unlabelled = counted(cases.unlabelled, kind) if cases.unlabelled else "none"
    if cases.unlabelled and not methods.entry(name).load().uses_unlabelled:
        unlabelled += f" (not used by {name})"
    validation = (
        f"validation: {counted(cases.validation, kind)}"
        if cases.validation
        else "validation: none (fewer than five labelled patients): the last checkpoint is taken"
    )
    if split.validation_from_training:
        validation += " (a fifth of the labelled ones: the data have no validation part)"
    lines = [
        f"method:     {name}",
        f"labelled:   {counted(cases.labelled, kind)}{without} ({_shown(split.labelled)})",
        f"unlabelled: {unlabelled}",
        validation,
    ]
    dump = resolved.config.model_dump(mode="json")
    networks = methods.entry(name).load().networks_of(resolved.config)
    for option, origin in resolved.origins.items():
        section, _, key = option.partition(".")
        if NETWORK_OF.get(section, networks[0]) not in networks:
            continue  # a preset's values for a network that is not built
        values = dump["options"] if section == name else dump[section]
        lines.append(f"  {option} = {values[key]}  (from {origin})")
    for one in of_input(resolved.config.data):
        section = one.option.partition(".")[0]
        if one.option not in resolved.origins and section in ("unet", name):
            lines.append(f"  {one.option} = {one.value}  (from the input: {one.reason})")
    training = resolved.config.training
    if resolved.config.preset is None and "training.iterations" not in resolved.origins:
        lines.append(
            f"no preset: {training.iterations:,} iterations of {training.batch_size} images; "
            "'semiseg presets' lists others"
        )
    return lines


def _unlabelled_slices(config: RunConfig, cases: Cases) -> int:
    """How many slices of labelled cases train as unlabelled images; in 3D they stay in their volume."""
    return len(unlabelled_slices_of(cases.labelled)) if config.data.dimensions == 2 else 0


def _shown(patients: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(patients[:most])
    return shown if len(patients) <= most else f"{shown}, ..."


def check_new_folder(folder: Path, overwrite: bool, what: str) -> None:
    """Refuse to write over anything that is there; with ``overwrite`` only a run is replaced.

    Raises:
        UserError: where ``folder`` is a file, or holds something that may not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another {what}.")
    held = {p.name for p in folder.iterdir() if not is_partial(p)} if folder.exists() else set()
    if held and not held & A_RUNS_FILES:
        raise UserError(
            f"{folder} exists and is no run, so it is not replaced: choose another {what}."
        )
    if held and not overwrite:
        raise UserError(
            f"{folder} exists: continue with --resume, take --overwrite, or another {what}."
        )


def make_folder(folder: Path) -> None:
    """Make ``folder`` where it is not there, and try to write into it before anything slow begins.

    Raises:
        UserError: where that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): choose another -o."
        ) from None
