"""Typed configuration: defaults, the data's suggestions, a preset, ``--set``, a study's row.

Nothing here imports torch, so that a wrong option is reported before anything slow starts.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from semiseg.errors import UserError, unknown

Side = Annotated[int, Field(ge=1)]
Length = Annotated[float, Field(gt=0)]


class Strict(BaseModel):
    """A section in which an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Strict):
    """What a network sees: squares or boxes of what size, and the geometric augmentation."""

    dimensions: Literal[2, 3] = Field(2, description="2: slices; 3: patches of volumes")
    size: int = Field(224, ge=32, description="side of the network's square input, in pixels")
    patch: tuple[Side, Side, Side] | None = Field(
        None, description="3D: sides of the network's input, [slices, rows, columns] in voxels"
    )
    spacing: tuple[Length, Length, Length] | None = Field(
        None, description="3D: mm that all volumes are resampled to, [slice, row, column]"
    )
    foreground: float = Field(
        1 / 3, ge=0, le=1, description="3D: part of the labelled patches that is put on a class"
    )
    overlap: float = Field(0.5, ge=0, lt=1, description="3D: of a prediction's sliding windows")
    quarter_turns_and_flips: float = Field(
        0.5, ge=0, le=1, description="probability of a random quarter turn and flip"
    )
    rotation: float = Field(
        0.5, ge=0, le=1, description="probability of a random rotation (where not turned)"
    )
    rotation_degrees: float = Field(20.0, ge=0, le=180)
    scaling: float = Field(0.0, ge=0, lt=1, description="random zoom in 1 - s to 1 + s")
    crop: float = Field(
        0.0, ge=0, lt=1, description="random crop: a window of 1 - c to 1 of the side, anywhere"
    )
    cache_mb: int = Field(
        1024, ge=0, description="memory for resized slices or resampled volumes, in MiB"
    )

    @model_validator(mode="after")
    def _volumes(self) -> "DataConfig":
        if self.dimensions == 3 and self.patch is None:
            raise ValueError(
                "dimensions=3 needs the sides of a patch too, for example data.patch=[32,64,64]"
            )
        if self.dimensions == 3 and self.crop:
            raise ValueError("crop is for slices (a patch is a crop already): leave it 0 in 3D")
        return self

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides of a network's input: [size, size], or the patch."""
        if self.dimensions == 2:
            return self.size, self.size
        assert self.patch is not None
        return self.patch

    @property
    def input_size(self) -> int | str:
        """As tables and pages have it: the side of slices, or '32 x 32 x 48'."""
        return self.size if self.dimensions == 2 else " x ".join(map(str, self.sides))


class TrainingConfig(Strict):
    """One training's budget, optimiser and rhythm."""

    iterations: int = Field(30_000, ge=1)
    epochs: int | None = Field(
        None, ge=1, description="passes over the labelled images, in place of iterations"
    )
    batch_size: int = Field(24, ge=1, description="labelled and unlabelled images together")
    labelled_batch_size: int = Field(12, ge=1)
    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["polynomial", "cosine"] = "polynomial"
    power: float = Field(0.9, ge=0, description="of the polynomial decay (1 - t/T)^power")
    warmup: float = Field(0.0, ge=0, lt=1, description="linear, as a part of the run")
    clip_gradients: float | None = Field(None, gt=0, description="largest norm of all gradients")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: mixed on a GPU, single on a CPU"
    )
    seed: int = Field(0, ge=0)
    validate_every: int = Field(200, ge=1)
    checkpoint_every: int = Field(200, ge=1)
    log_every: int = Field(10, ge=1)
    gradient_sizes_every: int = Field(0, ge=0, description="0: never")
    keep_weights_at: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="iterations whose weights stay, as weights/step-N"
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


class UNetConfig(Strict):
    """The thin U-Net of the field's benchmark."""

    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field((16, 32, 64, 128, 256), min_length=2)
    dropout: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = (0.05, 0.1, 0.2, 0.3, 0.5)
    norm: Literal["batch", "instance"] = Field(
        "batch", description="'instance' for batches of one or two, as in 3D"
    )
    head_kernel: Literal[1, 3] = 3
    sigmoid: bool = Field(False, description="two classes share one channel of the head")
    standardise: Literal["none", "imagenet"] = Field(
        "none", description="of inputs in [0, 1]: by ImageNet's mean and deviation a channel"
    )

    @model_validator(mode="after")
    def _lengths(self) -> "UNetConfig":
        if len(self.channels) != len(self.dropout):
            raise ValueError("channels and dropout need one entry per stage each")
        return self


class SwinConfig(Strict):
    """Swin-Unet "tiny" and how it is optimised beside a CNN."""

    embed_dim: int = Field(96, ge=8)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    head_dim: int = Field(32, ge=1, description="width of one attention head")
    window: int | None = Field(None, ge=1, description="default: the largest that fits the size")
    drop_path: float = Field(0.2, ge=0, lt=1)
    pretrained: str = Field("none", description="'none', 'hub' or a file of Swin-T weights")
    learning_rate_scale: float = Field(0.2, gt=0, description="times training.learning_rate")
    warmup: float = Field(0.05, ge=0, lt=1, description="linear, as a part of the run")


class VNetConfig(Strict):
    """V-Net, the second network in 3D, and how it is optimised beside a U-Net."""

    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field((16, 32, 64, 128, 256), min_length=2)
    blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2, 3, 3, 3), description="convolutions of each stage"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="at the bottom")
    norm: Literal["batch", "instance"] = "batch"
    learning_rate_scale: float = Field(1.0, gt=0, description="times training.learning_rate")
    warmup: float = Field(0.0, ge=0, lt=1, description="linear, as a part of the run")

    @model_validator(mode="after")
    def _lengths(self) -> "VNetConfig":
        if len(self.channels) != len(self.blocks):
            raise ValueError("channels and blocks need one entry per stage each")
        return self


class EvaluationConfig(Strict):
    """How a run is scored; the words are those of ``semiseg evaluate``."""

    protocol: Literal["strict", "paper", "paper-plgcl", "paper-cross-level"] = "strict"
    missing: Literal["worst", "exclude", "zero"] = "worst"


class RunConfig(Strict):
    """Everything that a training depends on beside its data and split."""

    method: str
    preset: str | None = None
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    unet: UNetConfig = UNetConfig()
    swin: SwinConfig = SwinConfig()
    vnet: VNetConfig = VNetConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    options: dict[str, Any] = Field(
        default_factory=dict, description="the method's own section, under its own name in files"
    )


RIVALS = {"training.iterations": "epochs", "training.epochs": "iterations"}
"""The later layer's word on how long a training is replaces the earlier one's."""

SECTIONS = ("data", "training", "unet", "swin", "vnet", "evaluation")


@dataclasses.dataclass(frozen=True)
class Layer:
    """Nested values and where they come from ('the data', "preset 'x'", '--set')."""

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
                f"--set takes section.key=value, for example training.iterations=2000; got '{entry}'."
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(
                f"--set {name}: '{text}' is not a value (a number, word or list)."
            ) from None
        if isinstance(value, str):
            value = _number(value)
        out.setdefault(section.replace("_", "-"), {})[key] = value
    return out


def _number(text: str) -> float | str:
    try:
        return float(text)  # YAML 1.1 reads 5e-4 as a word
    except ValueError:
        return text


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A validated configuration and the origin of each value that is not a default."""

    config: RunConfig
    origins: dict[str, str]


def resolve(
    method: str,
    method_options: type[BaseModel],
    known_methods: Sequence[str],
    layers: Sequence[Layer],
    preset: str | None = None,
) -> Resolved:
    """Merge ``layers`` (later ones win) over the defaults and validate.

    A section named after another known method is left out: one preset serves a comparison of
    several methods.

    Raises:
        UserError: naming the section, key or value that does not fit, with the nearest name.
    """
    merged: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for section, values in layer.values.items():
            name = section if section in SECTIONS else section.replace("_", "-")
            if name not in SECTIONS and name not in known_methods:
                raise unknown(f"section ({layer.origin})", section, [*SECTIONS, *known_methods])
            if name not in SECTIONS and name != method:
                continue
            if not isinstance(values, Mapping):
                raise UserError(f"{layer.origin}: section '{section}' needs named values.")
            fields = _fields(name, method_options)
            for key, value in values.items():
                if key not in fields:
                    raise unknown(
                        f"option ({layer.origin})",
                        f"{section}.{key}",
                        [f"{section}.{field}" for field in fields],
                    )
                merged.setdefault(name, {})[key] = value
                origins[f"{name}.{key}"] = layer.origin
                rival = RIVALS.get(f"{name}.{key}")
                if rival is not None and rival not in values:
                    merged[name].pop(rival, None)
                    origins.pop(f"{name}.{rival}", None)
    where = method
    try:
        options = method_options.model_validate(merged.pop(method, {}))
        where = ""
        config = RunConfig.model_validate(
            {
                "method": method,
                "preset": preset,
                "options": options.model_dump(mode="json"),
                **merged,
            }
        )
    except ValidationError as error:
        raise UserError(readable(error, origins, where)) from None
    return Resolved(config, origins)


def _fields(section: str, method_options: type[BaseModel]) -> list[str]:
    if section in SECTIONS:
        default = RunConfig.model_fields[section].default
        return list(type(default).model_fields)
    return list(method_options.model_fields)


WORDING = {
    "tuple_type": "must be a list, such as [1, 2, 3]",
    "too_long": "must have fewer entries",
    "bool_parsing": "must be true or false",
}
"""In place of a validation's own words, by its type."""


def readable(
    error: ValidationError, origins: Mapping[str, str] | None = None, section: str = ""
) -> str:
    """The first fault of a validation as one sentence; ``section``: of what was validated alone."""
    fault = error.errors()[0]
    place, inside = [section] if section else [], [*fault["loc"]]
    words = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing" and inside and isinstance(inside[-1], int):
        inside.pop()  # of a list: said of the list itself
        words = "must have more entries"
    where = ".".join([*place, *(str(part) for part in inside)])
    key = ".".join(where.split(".")[:2])  # without positions in a list
    origin = (origins or {}).get(key)
    message = WORDING.get(fault["type"], words)
    for tail in (", unable to", ", got a number"):  # what was given follows anyway
        message = message.partition(tail)[0]
    message = message.replace("Input should be", "must be")
    if not where:
        return f"{message}."
    joint = " " if message.startswith("must ") else ": "
    given = fault.get("input")
    got = "" if isinstance(given, Mapping) else f", got {given!r}"
    return f"{where}{joint}{message}{got}{f' (from {origin})' if origin else ''}."
