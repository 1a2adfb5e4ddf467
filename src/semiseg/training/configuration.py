"""From the words of a person (method, preset, settings) and the data to a resolved configuration."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from semiseg import methods, networks, presets
from semiseg.config import Known, Layer, Resolved, parse_assignments, resolve
from semiseg.data.loader import labelled_slices_of
from semiseg.data.manifest import Decision, Manifest
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.evaluation.protocols import find_protocol
from semiseg.preparation.auto_config import SIZE, decide, suit
from semiseg.training.patients import Cases

SMALL, SMALL_3D = "cpu", "cpu-3d"
"""The profiles that a machine without a GPU takes where no preset is asked for."""


def resolve_config(
    data: Manifest,
    method: str | None,
    preset: str | None,
    settings: Sequence[str] = (),
    sections: Mapping[str, Any] | None = None,
    small: bool = False,
) -> Resolved:
    """Resolve the configuration of one training.

    Layers, later ones win: the method's needs, the data, the preset, ``--set``, a study's row.

    Args:
        data: the manifest of the data.
        method: default: the preset's.
        preset: name or file.
        settings: ``section.key=value`` each.
        sections: of a benchmark's variant; they come last, so that a row is what its name says.
        small: without a preset, take the profile of a machine without a GPU, below what the data say.

    Raises:
        UserError: for an unknown method, preset or option, with the nearest name; for a setting of
            another method, where no ``sections`` say that several are compared.
    """
    content = presets.load(preset, method) if preset else {}
    name = method or content.get("method")
    if name is None:
        raise UserError(f"Say which method: --method {' | '.join(methods.table())}.")
    entry = methods.entry(name)
    cls = entry.load()
    given = parse_assignments(settings)
    # a preset of slices is for slices, whatever the data suggest
    named = content.get("data", {}).get("dimensions", 2) if preset else 3
    asked = given.get("data", {}).get("dimensions")
    volumes = 3 in entry.dimensions and (asked or named) == 3
    begun = content if preset or not small else presets.load(SMALL, name)
    parts = [layer.get(name) or {} for layer in (begun, given, sections or {})]
    decisions = suit(
        data.decisions or decide(data.task), data.task, name,
        cls.size_step({key: value for part in parts for key, value in part.items()}),
        volumes=volumes, small=small,
    )  # fmt: skip
    layers = [Layer(f"the method {name}", cls.settings)]
    if small and preset is None:
        suggested = any(d.option == "data.dimensions" for d in decisions)
        preset = SMALL_3D if suggested or asked == 3 else SMALL
        chosen = presets.sections(presets.load(preset, name))
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
    known = Known(
        name, cls.Options, list(methods.table()), list(networks.table()),
        lambda network: networks.entry(network).config(), cls.uses,
    )  # fmt: skip
    resolved = resolve(known, layers, preset)
    find_protocol(resolved.config.evaluation.protocol)
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
    return dataclasses.replace(
        resolved, config=config, origins=resolved.origins | {"training.iterations": origin}
    )


def choose_precision(resolved: Resolved, device: torch.device) -> Resolved:
    """Turn ``training.precision`` auto into what it means on ``device``, for resuming anywhere."""
    training = resolved.config.training
    if training.precision != "auto":
        return resolved
    precision, origin = auto_precision(device, resolved.config.data.dimensions)
    config = resolved.config.model_copy(
        update={"training": training.model_copy(update={"precision": precision})}
    )
    return dataclasses.replace(
        resolved, config=config, origins=resolved.origins | {"training.precision": origin}
    )


def auto_precision(device: torch.device, dimensions: int) -> tuple[str, str]:
    """The precision that pays on ``device``, and why.

    bf16-mixed on a CPU serves slices alone: torch's bf16 gradient of some 3D convolutions is wrong.
    """
    if device.type == "cuda":
        mixed = "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
        return mixed, "the device, cuda"
    if not cpu_has_bf16():
        return "32-true", "the device, a CPU without bf16 instructions"
    if dimensions == 3:
        return "32-true", "the device, cpu, and volumes"
    return "bf16-mixed", "the device, a CPU with bf16 instructions"


def cpu_has_bf16() -> bool:
    """Whether this CPU computes in bf16 (AVX512_BF16 or AMX); elsewhere it is emulated and slow."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # not in older versions of torch
    able = ask() if ask is not None else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
