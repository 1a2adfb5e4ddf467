"""Resolve the configuration of a training from the data, the method, a preset and settings."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from semiseg import methods, networks, presets
from semiseg.config import KnownSections, Layer, Resolved, RunConfig, parse_assignments, resolve
from semiseg.data.batch_loader import labelled_slices_of
from semiseg.data.manifest import Decision, Manifest
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.evaluation.protocols import find_protocol
from semiseg.methods import Entry
from semiseg.methods.base import Method
from semiseg.preparation.auto_config import SIZE, applicable_decisions, decide
from semiseg.training.patients import Cases

SMALL, SMALL_3D = "cpu", "cpu-3d"
"""The presets used on a machine without a GPU if none is given."""

LARGE = "gpu"
"""The preset used on a machine with a GPU if none is given, for slices and for methods with an overlay."""


def resolve_config(
    data: Manifest,
    method: str | None,
    preset: str | None,
    settings: Sequence[str] = (),
    sections: Mapping[str, Any] | None = None,
    small: bool = False,
    large: bool = False,
) -> Resolved:
    """Resolve the configuration of one training.

    Layers in ascending precedence: the method's settings, the data, the preset, ``--set``, a study's
    row.

    Args:
        data: the manifest of the data.
        method: default: the preset's method, else ``auto``.
        preset: name or file.
        settings: strings ``section.key=value``.
        sections: sections of a benchmark's variant; they take precedence over all other layers.
        small: without a preset, use that for a machine without a GPU.
        large: without a preset, use that for a GPU if the method has an overlay for it.

    Raises:
        UserError: for an unknown method, preset or option, with the nearest name; without
            ``sections``, for a setting of another method.
    """
    entry, content = method_and_preset(method, preset)
    name, cls = entry.name, entry.load()
    given = parse_assignments(settings)
    # a preset for slices takes precedence over volumes that the data suggest
    named = content.get("data", {}).get("dimensions", 2) if preset else 3
    asked = given.get("data", {}).get("dimensions")
    volumes = 3 in entry.dimensions and (asked or named) == 3
    begun = content if preset or not small else presets.load(SMALL, name)
    parts = [layer.get(name) or {} for layer in (begun, given, sections or {})]
    decisions = applicable_decisions(
        data.decisions or decide(data.task), data.task, name,
        cls.size_multiple({key: value for part in parts for key, value in part.items()}),
        volumes=volumes, small=small,
    )  # fmt: skip
    layers = [Layer(f"the method {name}", cls.settings)]
    if small and preset is None:
        preset = SMALL_3D if _in_3d(decisions, asked) else SMALL
        chosen = presets.sections(presets.load(preset, name))
        layers.append(Layer(f"preset '{preset}', because there is no GPU", chosen))
        affordable = chosen["data"].get("size", 0)
        layers += _layers([d for d in decisions if d.option != SIZE or _below(d.value, affordable)])
    elif (
        large
        and preset is None
        and name in presets.overlays(LARGE)
        and not _in_3d(decisions, asked)
    ):
        preset = LARGE
        chosen = presets.sections(presets.load(preset, name))
        layers += [Layer(f"preset '{preset}', because there is a GPU", chosen), *_layers(decisions)]
    else:
        layers += _layers(decisions)
        if preset:
            layers.append(Layer(f"preset '{preset}'", presets.sections(content)))
    known = _known(name, cls)
    others = [(s, key) for s, values in given.items() for key in values if known.ignored(s, key)]
    if others and sections is None:
        section, key = others[0]
        raise UserError(
            f"--set {section}.{key} is an option of {section}, but the method is {name}: remove the setting "
            "or change --method."
        )
    if asked in (2, 3):  # before an option of a preset for slices conflicts with it
        check_dimensions(data.task, name, int(asked))
    layers.append(Layer("--set", given))
    if sections:
        layers.append(Layer("the study", sections))
    resolved = resolve(known, layers, preset)
    find_protocol(resolved.config.evaluation.protocol)
    check_dimensions(data.task, name, resolved.config.data.dimensions)
    return resolved


def method_and_preset(method: str | None, preset: str | None) -> tuple[Entry, dict[str, Any]]:
    """Return the entry of the method, and the content of the preset for it (empty without one).

    Raises:
        UserError: for an unknown method or preset.
    """
    if method is None and preset is not None:
        method = presets.load(preset).get("method")
    entry = methods.entry(method or methods.AUTO)
    return entry, {} if preset is None else presets.load(preset, entry.name)


def _in_3d(decisions: Sequence[Decision], asked: int | None) -> bool:
    """Return whether the data suggest volumes, or the user asks for them."""
    return asked == 3 or any(d.option == "data.dimensions" for d in decisions)


def check_options(
    method: str | None, preset: str | None, settings: Sequence[str], device: torch.device
) -> None:
    """Check the names and values of options without data.

    The data may still choose volumes, so that their precision is checked again.

    Raises:
        UserError: for an unknown method, preset or option, or an invalid value, or a precision that
            ``device`` does not support.
    """
    entry, content = method_and_preset(method, preset)
    name, cls, given = entry.name, entry.load(), parse_assignments(settings)
    # the data give a patch to volumes
    layers = [Layer("the data", {"data": {"patch": (32, 32, 32)}})]
    layers.append(Layer(f"the method {name}", cls.settings))
    layers.append(
        Layer(f"preset '{preset}'", presets.sections(content)) if preset else Layer("", {})
    )
    resolved = resolve(_known(name, cls), [*layers, Layer("--set", given)], preset)
    find_protocol(resolved.config.evaluation.protocol)
    check_precision(resolved.config, device)


def _known(name: str, cls: type[Method]) -> KnownSections:
    """Return the sections for training the method ``name``.

    Raises:
        UserError: if a network has the method's name and an option of the same name. Their section
            could not hold both.
    """
    if name in networks.table():
        fields = networks.entry(name).config().model_fields
        both = [field for field in cls.Options.model_fields if field in fields]
        if both:
            raise UserError(
                f"The method {name} and the network {name} share the section '{name}', and both have "
                f"{' and '.join(both)}: rename the method, or these options."
            )
    return KnownSections(
        name, list(methods.table()), lambda method: methods.entry(method).load().Options,
        list(networks.table()), lambda network: networks.entry(network).config(),
        cls.required_networks,
    )  # fmt: skip


def check_dimensions(task: Task, method: str, dimensions: int) -> None:
    """Check that the data and the method support ``dimensions``.

    Raises:
        UserError: if not; the message names values that fit.
    """
    if dimensions == 3 and task.kind == "pictures":
        raise UserError("data.dimensions 3 is for volumes, and these are pictures: take 2.")
    if dimensions not in methods.entry(method).dimensions:
        able = [name for name, line in methods.table().items() if dimensions in line.dimensions]
        raise UserError(
            f"{method} is for {'volumes' if dimensions == 2 else 'slices'}: use --set "
            f"data.dimensions={5 - dimensions}, or one of {', '.join(able)}."
        )


def _below(value: object, most: int) -> bool:
    return isinstance(value, int) and value < most


def _layers(decisions: Sequence[Decision]) -> list[Layer]:
    """Return one layer per decision, because each has its own reason."""
    layers = []
    for decision in decisions:
        section, _, key = decision.option.partition(".")
        layers.append(Layer(f"the data: {decision.reason}", {section: {key: decision.value}}))
    return layers


def with_value(
    resolved: Resolved, section: str, key: str, value: Any, origin: str | None = None
) -> Resolved:
    """Replace ``section.key``; ``origin``: its new origin, None to keep the present one."""
    changed = getattr(resolved.config, section).model_copy(update={key: value})
    config = resolved.config.model_copy(update={section: changed})
    added = {} if origin is None else {f"{section}.{key}": origin}
    return dataclasses.replace(resolved, config=config, origins=resolved.origins | added)


def with_training(resolved: Resolved, key: str, value: Any, origin: str | None = None) -> Resolved:
    """Replace ``training.<key>``; see `with_value`."""
    return with_value(resolved, "training", key, value, origin)


def count_iterations(resolved: Resolved, cases: Cases) -> Resolved:
    """Convert ``training.epochs`` to iterations. An epoch is one pass over the labelled images.

    The count does not depend on the number of labelled images in a method's batch, so all methods of a
    comparison have the same number of iterations.
    """
    training = resolved.config.training
    if training.epochs is None:
        return resolved
    flat = resolved.config.data.dimensions == 2  # in 3D a pass is one patch of every volume
    images = len(labelled_slices_of(cases.labelled) if flat else cases.labelled)
    iterations = training.epochs * math.ceil(images / training.labelled_batch_size)
    origin = (
        f"{training.epochs:,} passes over {images:,} labelled {'images' if flat else 'volumes'}"
    )
    return with_training(resolved, "iterations", iterations, origin)


def choose_precision(resolved: Resolved, device: torch.device) -> Resolved:
    """Replace ``training.precision=auto`` by its value on ``device``, so a resumed run keeps it."""
    training = resolved.config.training
    if training.precision != "auto":
        return resolved
    precision, origin = auto_precision(device, resolved.config.data.dimensions)
    return with_training(resolved, "precision", precision, origin)


def check_precision(config: RunConfig, device: torch.device) -> None:
    """Check that ``device`` has the precision, and that it gives right gradients.

    Raises:
        UserError: for 16-mixed on a CPU, and for mixed precision of volumes on a CPU. There torch's bf16
            gradient of 3D convolutions on small maps depends on freed memory.
    """
    mixed = config.training.precision not in ("auto", "32-true")
    if mixed and device.type == "cpu" and config.data.dimensions == 3:
        raise UserError(
            f"training.precision={config.training.precision} gives wrong gradients for volumes on a CPU: "
            "use training.precision=32-true, or a GPU."
        )
    if device.type == "cpu" and config.training.precision == "16-mixed":
        raise UserError("training.precision 16-mixed needs a GPU: use 32-true or bf16-mixed.")


def auto_precision(device: torch.device, dimensions: int) -> tuple[str, str]:
    """Return the fastest precision on ``device`` and the reason.

    On a CPU, bf16-mixed is only for slices: torch's bf16 gradient of some 3D convolutions is wrong.
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
    """Return whether the CPU has bf16 instructions (AVX512_BF16 or AMX); emulation is slow."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # not in older versions of torch
    able = ask() if ask is not None else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
