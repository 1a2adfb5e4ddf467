"""Typed configuration, merged from defaults, the data, a preset, ``--set`` and a study's row.

This module does not depend on methods or networks: the caller gives the types of their sections.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    model_validator,
)

from semiseg.errors import UserError, unknown
from semiseg.strict import Length, Side, Strict, readable, shown
from semiseg.yaml_text import parse_yaml

CROPS = " (crops)"  # ends the size of an input that is cropped
INJECTIVE = 0.4
"""Largest displacement of control points, in distances between them, at which cubic B-splines never fold
(Choi and Lee, Graphical Models 2000: 0.48 in 2D, 0.40 in 3D)."""


class DataConfig(Strict):
    """The input of a network, and the geometric augmentation."""

    dimensions: Literal[2, 3] = Field(2, description="2: slices; 3: patches of volumes")
    size: int = Field(
        224, ge=32, le=16384, description="2D: slices are resized to this square, in pixels"
    )
    crop_size: int | None = Field(
        None,
        ge=32,
        le=16384,
        description="2D: side of crops at the images' own resolution, instead of size",
    )
    patch: tuple[Side, Side, Side] | None = Field(
        None, description="3D: size of the network's input, [slices, rows, columns] in voxels"
    )
    spacing: tuple[Length, Length, Length] | None = Field(
        None, description="3D: spacing of the resampled volumes, [slice, row, column] in mm"
    )
    foreground: float = Field(
        1 / 3, ge=0, le=1, description="fraction of labelled crops or patches centred on a class"
    )
    overlap: float = Field(
        0.5, ge=0, lt=1, description="crops and patches: overlap of the sliding windows"
    )
    quarter_turns_and_flips: float = Field(
        0.5, ge=0, le=1, description="probability of a random quarter turn and flip"
    )
    mirror_axes: tuple[Annotated[int, Field(ge=0, le=2)], ...] = Field(
        (),
        description="axes along which half of the images are mirrored, such as [1] for left and right: "
        "0 rows, 1 columns; 3D: 0 slices, 1 rows, 2 columns",
    )
    rotation: float = Field(
        0.5, ge=0, le=1, description="probability of a random rotation (if not turned)"
    )
    rotation_degrees: float = Field(20.0, ge=0, le=180)
    scaling: float = Field(0.0, ge=0, lt=1, description="random zoom of 1 - s to 1 + s")
    crop: float = Field(
        0.0, ge=0, lt=1, description="random crop to 1 - c to 1 of the side, at any position"
    )
    elastic: float = Field(0.0, ge=0, le=1, description="probability of an elastic deformation")
    elastic_displacement: float = Field(
        0.08,
        ge=0,
        lt=1,
        description="elastic: largest displacement of a control point along an axis, as a fraction of "
        "the side",
    )
    elastic_spacing: float = Field(
        0.25,
        ge=0.05,
        le=1,
        description="elastic: distance of the control points, as a fraction of the side",
    )
    cache_mb: int = Field(
        1024, ge=0, description="memory for resized slices or resampled volumes, in MiB"
    )

    @model_validator(mode="after")
    def _volumes(self) -> "DataConfig":
        if self.dimensions == 3 and self.patch is None:
            raise ValueError(
                "dimensions=3 needs the size of a patch, for example data.patch=[32,64,64]"
            )
        if self.dimensions == 3 and self.crop:
            raise ValueError("crop is for slices (a patch is already a crop): leave it 0 in 3D")
        if self.dimensions == 3 and self.crop_size is not None:
            raise ValueError("crop_size is for slices: set data.patch in 3D")
        return self

    @model_validator(mode="after")
    def _augmentation(self) -> "DataConfig":
        for axis in self.mirror_axes:
            if axis >= self.dimensions or self.mirror_axes.count(axis) > 1:
                axes = "0, 1" if self.dimensions == 2 else "0, 1, 2"
                raise ValueError(
                    f"mirror_axes takes different axes of {axes} in {self.dimensions}D"
                )
        most = INJECTIVE * self.elastic_spacing
        if self.elastic and self.elastic_displacement > most + 1e-9:
            raise ValueError(
                f"elastic_displacement must be at most {INJECTIVE:g} of elastic_spacing, which is "
                f"{most:.3g}: larger displacements fold the image"
            )
        return self

    @property
    def mirrored_axes(self) -> tuple[int, ...]:
        """The axes along which the networks see mirrored images, in ascending order."""
        if self.quarter_turns_and_flips:
            return tuple(range(self.dimensions))
        return tuple(sorted(self.mirror_axes))

    @property
    def side(self) -> int:
        """2D: the side of the network's square input: ``crop_size``, or ``size``."""
        return self.crop_size or self.size

    @property
    def sides(self) -> tuple[int, ...]:
        """The size of a network's input: (side, side), or the patch."""
        if self.dimensions == 2:
            return self.side, self.side
        assert self.patch is not None
        return self.patch

    @property
    def input_size(self) -> int | str:
        """The input's size for tables: the side of slices, '96 x 96 (crops)' or '32 x 32 x 48'."""
        if self.dimensions == 2 and self.crop_size is None:
            return self.size
        sides = " x ".join(map(str, self.sides))
        return sides if self.dimensions == 3 else sides + CROPS


class TrainingConfig(Strict):
    """Length, batches, optimiser and intervals of a training."""

    iterations: int = Field(30_000, ge=1)
    epochs: int | None = Field(
        None, ge=1, description="passes over the labelled images, instead of iterations"
    )
    seconds: float | None = Field(
        None, gt=0, description="duration (--time): the schedule follows the time used, and iterations "
        "counts its positions",
    )  # fmt: skip
    batch_size: int = Field(
        24, ge=1, le=65536, description="labelled and unlabelled images together"
    )
    labelled_batch_size: int = Field(12, ge=1, le=65536)
    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["polynomial", "cosine"] = "polynomial"
    power: float = Field(0.9, ge=0, description="exponent of the decay (1 - t/T)^power")
    warmup: float = Field(0.0, ge=0, lt=1, description="linear warm-up, as a fraction of the run")
    clip_gradients: float | None = Field(None, gt=0, description="maximum norm of the gradients")
    batch_norm: Literal["apart", "together"] = Field(
        "together", description="whether labelled and unlabelled images share their statistics"
    )
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: chosen by the device (mixed on a GPU)"
    )
    weights_from: str | None = Field(
        None, description="folder of a run whose weights initialise the networks"
    )
    seed: int = Field(0, ge=0)
    validation_cases: int | None = Field(
        None, ge=1, description="validate on so many cases, evenly spaced; null: on all"
    )
    validate_every: int = Field(200, ge=1)
    checkpoint_every: int = Field(200, ge=1)
    log_every: int = Field(10, ge=1)
    gradient_sizes_every: int = Field(0, ge=0, description="0: never")
    keep_weights_at: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="iterations whose weights are kept, as weights/step-N"
    )
    tensorboard: bool = False

    @model_validator(mode="after")
    def _batch(self) -> "TrainingConfig":
        if self.labelled_batch_size > self.batch_size:
            raise ValueError(
                f"labelled_batch_size ({self.labelled_batch_size}) is larger than "
                f"batch_size ({self.batch_size}): set both"
            )
        return self


class EvaluationConfig(Strict):
    """How a run is scored, with the options of ``semiseg evaluate``."""

    protocol: str = Field("strict", description="see 'semiseg evaluate --help'")
    missing: Literal["worst", "exclude", "zero"] = "worst"


class RunConfig(Strict):
    """All settings of a training except its data and split."""

    method: str
    preset: str | None = None
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    networks: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="one section per network, stored under the network's name"
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="the method's section, stored under the method's name"
    )


RIVALS = {"training.iterations": "epochs", "training.epochs": "iterations"}
"""Options that exclude each other: one in a later layer replaces the other in an earlier layer."""

GIVEN = ("--set", "the study")
"""Origins of options that the user gives for a training."""

SECTIONS = ("data", "training", "evaluation")
NETWORKS = "networks"
"""The section whose options apply to every network of a run that has them."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """Nested values and their origin ('the data', "preset 'x'", '--set')."""

    origin: str
    values: Mapping[str, Any]


def parse_assignments(assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``["training.iterations=20"]`` -> ``{"training": {"iterations": 20}}``; values are YAML.

    Raises:
        UserError: for an entry that is not ``section.key=value``.
    """
    out: dict[str, dict[str, Any]] = {}
    for entry in assignments:
        name, equals, text = entry.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot and section and key and "." not in key):
            raise UserError(
                "--set takes section.key=value, for example training.iterations=2000; got "
                f"{shown(entry)}."
            )
        try:
            value = parse_yaml(text)
        except ValueError:
            raise UserError(
                f"--set {name}: {shown(text)} is not a value: use a number, word or list."
            ) from None
        out.setdefault(section.replace("_", "-"), {})[key] = value
    return out


def as_assignments(config: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    """``{"training": {"iterations": 20}}`` -> ``["training.iterations=20"]``, for ``--set``.

    Args:
        config: sections of named values: numbers, words, true, false, None, or lists of them. None
            means no sections.

    Raises:
        UserError: for a section without named values, or a value of another type.
    """
    example = "{'training': {'iterations': 2000}}"
    if config is not None and not isinstance(config, Mapping):
        raise UserError(
            f"config takes sections of named values, such as {example}; got {config!r}."
        )
    out = []
    for section, values in (config or {}).items():
        if not isinstance(values, Mapping):
            raise UserError(
                f"config: section '{section}' needs named values, such as {example}; got {values!r}."
            )
        for key, value in values.items():
            try:
                text = json.dumps(value, default=_plain)
            except (TypeError, ValueError):
                raise UserError(
                    f"config: {section}.{key} must be a number, a word, true, false, None or a list of "
                    f"them, got {value!r}."
                ) from None
            out.append(f"{section}.{key}={text}")
    return out


def _plain(value: Any) -> Any:
    """Convert NumPy numbers and arrays, and paths, to JSON types; raises TypeError for others."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A validated configuration and the origin of each value that is not a default.

    ``unused``: options that ``--set`` or a study gives to networks that the method does not train.
    """

    config: RunConfig
    origins: dict[str, str]
    unused: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class KnownSections:
    """The sections of methods and networks that a configuration may have.

    Attributes:
        method: the name of the method to train.
        methods: names of all methods; sections of others are ignored.
        method_type: returns the type of a method's section.
        networks: names of all networks.
        network_type: returns the type of a network's section.
        used: returns the names of the networks that the method builds, from its options and
            ``data.dimensions``.
    """

    method: str
    methods: Sequence[str]
    method_type: Callable[[str], type[BaseModel]]
    networks: Sequence[str]
    network_type: Callable[[str], type[BaseModel]]
    used: Callable[[BaseModel, int], Sequence[str]]

    def section(self, name: str, origin: str) -> str:
        """The stored name of a section; raises `UserError` for an unknown one."""
        if name not in SECTIONS:
            name = name.replace("_", "-")
        names = [*SECTIONS, NETWORKS, *self.networks, *self.methods]
        if name not in names:
            raise unknown(f"section ({origin})", name, names)
        return name

    def fields(self, section: str) -> set[str]:
        """Names of the options of a section."""
        if section in SECTIONS:
            return set(type(RunConfig.model_fields[section].default).model_fields)
        if section == NETWORKS:
            return {f for name in self.networks for f in self.network_type(name).model_fields}
        own = set(self.method_type(section).model_fields) if section == self.method else set()
        if section in self.networks:
            own |= set(self.network_type(section).model_fields)
        return own

    def ignored(self, section: str, key: str) -> bool:
        """Return whether an option belongs to a method that is not trained, and to no network."""
        if section not in self.methods or section == self.method:
            return False
        return section not in self.networks or key in (
            self.method_type(section).model_fields.keys() - self.fields(section)
        )


class _Merged:
    """Values of several layers by section, and the origin of each."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, str] = {}

    def set(self, section: str, key: str, value: Any, origin: str) -> None:
        self.values.setdefault(section, {})[key] = value
        self.origins[f"{section}.{key}"] = origin

    def drop(self, section: str, key: str) -> None:
        self.values.get(section, {}).pop(key, None)
        self.origins.pop(f"{section}.{key}", None)


def resolve(known: KnownSections, layers: Sequence[Layer], preset: str | None = None) -> Resolved:
    """Merge ``layers`` over the defaults and validate; later layers take precedence.

    Sections of known methods and networks that are not in use are ignored, so that one preset
    serves a comparison of several methods. Options of the section ``networks`` apply to every
    network in use that has them.

    Raises:
        UserError: for an unknown section or option, an invalid value, or options that exclude each other.
    """
    merged, every = _Merged(), _Merged()
    for layer in layers:
        for section, values in layer.values.items():
            name = known.section(section, layer.origin)
            if name in known.methods and name not in (known.method, *known.networks):
                continue
            if not isinstance(values, Mapping):
                raise UserError(f"{layer.origin}: section '{section}' must contain named values.")
            fields = known.fields(name)
            _check_rivals(name, values, layer.origin)
            for key, value in values.items():
                if known.ignored(name, key):
                    continue
                if key not in fields:
                    raise unknown(
                        f"option ({layer.origin})",
                        f"{section}.{key}",
                        [f"{section}.{field}" for field in sorted(fields)],
                    )
                if name == NETWORKS:
                    for network in known.networks:
                        if key in known.fields(network):
                            every.set(network, key, value, layer.origin)
                            merged.drop(network, key)  # of an earlier layer
                    continue
                merged.set(name, key, value, layer.origin)
                rival = RIVALS.get(f"{name}.{key}")
                if rival is not None and value is not None and values.get(rival) is None:
                    merged.drop(name, rival)
    return _validate(known, merged, every, preset)


def _check_rivals(section: str, values: Mapping[str, Any], origin: str) -> None:
    """Check that one layer does not give two options that exclude each other."""
    for key in values:
        rival = RIVALS.get(f"{section}.{key}", key)
        if rival != key and values[key] is not None and values.get(rival) is not None:
            raise UserError(
                f"{section}.{key} and {section}.{rival} contradict each other (both from {origin}): give "
                "one of them."
            )


def _validate(
    known: KnownSections, merged: _Merged, every: _Merged, preset: str | None
) -> Resolved:
    values, where = merged.values, known.method
    origins = every.origins | merged.origins

    def own(section: str, kind: type[BaseModel]) -> dict[str, Any]:
        return {k: v for k, v in values.get(section, {}).items() if k in kind.model_fields}

    try:
        kind = known.method_type(known.method)
        options = kind.model_validate(own(known.method, kind))
        where = ""
        plain = {s: values[s] for s in SECTIONS if s in values}
        config = RunConfig.model_validate({"method": known.method, "preset": preset, **plain})
        networks = {}
        for where in dict.fromkeys(known.used(options, config.data.dimensions)):
            kind = known.network_type(where)
            section = kind.model_validate(every.values.get(where, {}) | own(where, kind))
            networks[where] = section.model_dump(mode="json")
    except ValidationError as error:
        raise UserError(readable(error, origins, where)) from None
    config = config.model_copy(
        update={"options": options.model_dump(mode="json"), "networks": networks}
    )
    mine = {f"{known.method}.{key}" for key in type(options).model_fields}
    in_use = {*SECTIONS, *networks}
    kept = {k: o for k, o in origins.items() if k in mine or k.partition(".")[0] in in_use}
    unused = [k for k, o in merged.origins.items() if k not in kept and o in GIVEN]
    for option, origin in every.origins.items():
        key = option.partition(".")[2]
        if origin in GIVEN and not any(key in known.fields(name) for name in networks):
            unused.append(f"{NETWORKS}.{key}")
    return Resolved(config, kept, tuple(dict.fromkeys(unused)))
