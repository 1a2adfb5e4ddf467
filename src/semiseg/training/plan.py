"""The plan of a training: configuration, patients, length and precision.

``train``, its dry run, ``run`` and ``benchmark`` all use this plan.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from semiseg import methods, networks
from semiseg.config import Resolved, RunConfig
from semiseg.data.manifest import Case, PreparedData, window_of
from semiseg.data.splits import counted
from semiseg.data.volumes import VolumeStore
from semiseg.errors import UserError
from semiseg.methods.base import DerivedSetting, Method
from semiseg.networks.build import section_of
from semiseg.preparation.auto_config import SIZE
from semiseg.text import plural
from semiseg.training.configuration import (
    check_precision,
    choose_precision,
    count_iterations,
    resolve_config,
    with_training,
)
from semiseg.training.patients import Cases, cases_of, choose_patients
from semiseg.training.resolution import CROP_SIZE, choose_crops
from semiseg.training.run_folder import RunSplit
from semiseg.training.run_output import find_run
from semiseg.training.without_effect import without_effect


@dataclasses.dataclass(frozen=True)
class Plan:
    """All decisions before a training starts."""

    resolved: Resolved
    split: RunSplit
    cases: Cases
    data: PreparedData
    """The data as the training scales them."""

    @property
    def config(self) -> RunConfig:
        """The resolved configuration."""
        return self.resolved.config


def plan_training(
    data: PreparedData,
    method: str | None,
    labelled: str,
    labelled_seed: int | None,
    preset: str | None,
    settings: Sequence[str],
    device: torch.device,
    sections: Mapping[str, Any] | None = None,
    split: RunSplit | None = None,
) -> Plan:
    """Resolve the configuration, choose the patients, count the iterations, choose the precision.

    Without a preset and without ``sections``, a machine without a GPU uses the preset for small
    machines, and a GPU its own preset if the method has one. Slices are cropped instead of resized where
    resizing would lose structures.

    Args:
        data: the prepared data.
        method, preset, settings, sections: see `resolve_config`.
        labelled: '7', '10%', 'all' or a text file of patients.
        labelled_seed: seed of the draw of labelled patients; None: the data's order if it has one,
            else 0.
        device: the device of the training.
        split: the patients of each part; None: those that ``labelled`` chooses.

    Raises:
        UserError: if an option does not fit the data.
    """
    alone = sections is None
    small, large = alone and device.type == "cpu", alone and device.type != "cpu"
    resolved = resolve_config(data.manifest, method, preset, settings, sections, small, large)
    split = split or choose_patients(data, labelled, labelled_seed)
    cases = cases_of(data, split)
    window = window_of(cases.labelled)
    if window is not None:  # of these labels alone
        data = data.with_intensity(window)
        cases = cases_of(data, split)
    given = "--set" in (resolved.origins.get(SIZE), resolved.origins.get(CROP_SIZE))
    if preset is None and sections is None and not given:
        resolved = choose_crops(resolved, data, cases.labelled)
    resolved = _absolute(choose_precision(count_iterations(resolved, cases), device))
    check_precision(resolved.config, device)
    return Plan(resolved, split, cases, data)


def _absolute(resolved: Resolved) -> Resolved:
    """Make the path of ``training.weights_from`` absolute; from the folder of `run`, use its training."""
    source = resolved.config.training.weights_from
    if source is None:
        return resolved
    return with_training(resolved, "weights_from", str(find_run(source).resolve()))


def check_volumes(data: PreparedData, cases: Cases, config: RunConfig) -> None:
    """Check that volumes that are resampled have a spacing.

    Raises:
        UserError: naming the first volume without one.
    """
    if config.data.dimensions == 3 and config.data.spacing is not None:
        for case in (*cases.labelled, *cases.unlabelled, *cases.validation):
            VolumeStore(data, config.data.spacing, 0).shape(case)


def check_classes(data: PreparedData, cases: Cases) -> list[str]:
    """Return warnings about classes without a labelled case or without a validation case.

    Raises:
        UserError: if there is no labelled case of any class.
    """
    names = dict(enumerate(data.task.foreground, start=1))
    seen = _codes_in(data, cases.labelled, set(names))
    if not seen:
        raise UserError(
            "The labels of the labelled cases contain only background: choose other cases with "
            "--labelled or --labelled-seed."
        )
    warnings = []
    if missing := [name for code, name in names.items() if code not in seen]:
        warnings.append(
            f"no labelled case contains {' or '.join(missing)}, which the networks cannot learn: choose "
            "other cases with --labelled or --labelled-seed"
        )
    scored = _codes_in(data, cases.validation, seen)
    if cases.validation and not scored:
        warnings.append("no validation case contains a structure: the last checkpoint is used")
    elif unscored := [names[code] for code in sorted(seen - scored) if cases.validation]:
        warnings.append(
            f"no validation case contains {' or '.join(unscored)}: the checkpoint is chosen by the other "
            "structures"
        )
    return warnings


def _codes_in(data: PreparedData, cases: Sequence[Case], wanted: set[int]) -> set[int]:
    """Those of the ``wanted`` class codes that the labels of cases contain."""
    seen: set[int] = set()
    for case in cases:
        for plane in data.label(case.identifier):
            if seen == wanted:
                return seen
            seen |= wanted.intersection(np.unique(plane).tolist())
    return seen


def check_terms(method: Method, config: RunConfig, cases: Cases) -> None:
    """Check that every loss term can become active.

    Raises:
        UserError: if not, or if the method gets no unlabelled images that it needs; the message says what
            to change.
    """
    name, iterations = config.method, config.training.iterations
    reads = method.reads_unlabelled(config)
    if reads and not cases.has_unlabelled(config.data.dimensions):
        if method.labels_suffice:
            return  # its other terms do not exist then
        raise UserError(
            f"{name} needs unlabelled images, and every training case is labelled: use --method "
            "supervised, or fewer cases with --labelled."
        )
    training = config.training
    if reads and training.labelled_batch_size == training.batch_size:
        raise UserError(
            f"{name} needs unlabelled images in its batch: set training.batch_size higher than "
            f"training.labelled_batch_size ({training.labelled_batch_size})."
        )
    for term, start in method.active_from(iterations).items():
        if start >= iterations:
            raise UserError(
                f"The loss term '{term}' of {name} starts at iteration {start:,}, but the run has only "
                f"{iterations:,}: increase training.iterations or start the term earlier."
            )


def derived_settings(config: RunConfig) -> list[DerivedSetting]:
    """Return the values that the networks and the method derive from the input's size."""
    found: list[DerivedSetting] = []
    for name in config.networks:
        cls = networks.entry(name).load()
        reason = cls.depth(section_of(config, name), config.data.sides)
        if reason is not None:
            found.append(DerivedSetting(*reason))
    return [*found, *methods.entry(config.method).load().derived_settings(config)]


def describe(plan: Plan) -> list[str]:
    """Describe a plan in lines: its cases, and every value that is not a default with its origin."""
    resolved, split, cases = plan.resolved, plan.split, plan.cases
    kind, name = plan.data.task.kind, resolved.config.method
    ignored = cases.unlabelled_slices(resolved.config.data.dimensions)
    without = f", {plural(ignored, 'slice')} of them without a label" if ignored else ""
    unlabelled = counted(cases.unlabelled, kind) if cases.unlabelled else "none"
    method = methods.entry(name).load()
    if not method.reads_unlabelled(resolved.config):
        unlabelled += f" (not used by {name})" if cases.unlabelled else ""
    elif not cases.has_unlabelled(resolved.config.data.dimensions) and method.labels_suffice:
        unlabelled += f" ({name} trains on labelled images alone)"
    validation = (
        f"validation: {counted(cases.validation, kind)}"
        if cases.validation
        else "validation: none, so the last checkpoint is used"
    )
    if split.validation_from_training:
        validation += " (a fifth of the labelled ones: the data have no validation part)"
    lines = [
        f"method:     {name}",
        f"labelled:   {counted(cases.labelled, kind)}{without} ({_shown(split.labelled)})",
        f"unlabelled: {unlabelled}",
        validation,
    ]
    if window_of(cases.labelled) is not None:
        words = plan.data.task.intensity.words
        lines.append(f"intensities: {words} (the window of the classes in the labelled cases)")
    dump = resolved.config.model_dump(mode="json")
    # a method and a network of one name share a section
    own = dump["networks"].get(name, {}) | dump["options"]
    sections = {**dump, **dump["networks"], name: own}
    for option, origin in resolved.origins.items():
        section, _, key = option.partition(".")
        lines.append(f"  {option} = {sections[section][key]}  (from {origin})")
    unused = without_effect(resolved, bool(cases.validation))
    lines += [f"  {option} {sentence}" for option, sentence in unused.items()]
    for one in derived_settings(resolved.config):
        if one.option not in resolved.origins:
            lines.append(f"  {one.option} = {one.value}  (from the input: {one.reason})")
    training = resolved.config.training
    if resolved.config.preset is None and "training.iterations" not in resolved.origins:
        lines.append(
            f"no preset: {training.iterations:,} iterations of {training.batch_size} images; "
            "'semiseg presets' lists others"
        )
    return lines


def _shown(patients: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(patients[:most])
    return shown if len(patients) <= most else f"{shown}, ..."
