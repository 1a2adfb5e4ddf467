"""The arguments of ``semiseg run``: they are checked, stored and compared with those of earlier calls."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from semiseg import methods, networks
from semiseg.config import parse_assignments
from semiseg.errors import UserError
from semiseg.files import atomic_output, is_partial
from semiseg.preparation.scanning import Request as Reading
from semiseg.stored import read_stored
from semiseg.training.configuration import check_options
from semiseg.training.device import torch_device
from semiseg.training.run_output import RunOutput
from semiseg.training.time_limit import LENGTHS

ARGUMENTS = "run.json"
OF_TRAINING = {"labelled", "method", "preset", "settings", "seconds", "folds"}


class Arguments(BaseModel):
    """The content of ``run.json``: the arguments of `run`, with the options of `prepare`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | list[str] | list[float] | bool | None]

    source: str
    labelled: str = "all"
    method: str | None = None
    preset: str | None = None
    settings: list[str] = []
    seconds: float | None = None
    folds: int | None = None
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """The arguments of one call. ``reading``: the options of `prepare`."""

    source: Path
    labelled: str
    method: str | None
    preset: str | None
    settings: tuple[str, ...]
    seconds: float | None
    folds: int | None
    seed: int
    device: str
    threads: int | None
    reading: Mapping[str, Any]

    def check(self) -> None:
        """Check everything that does not depend on the data.

        Raises:
            UserError: if an argument is invalid.
        """
        device = torch_device(self.device)
        if self.seconds is not None:
            if not self.seconds > 0:
                raise UserError("--time must be above 0: write 2h, 30m, 90s or 1h30m.")
            given = parse_assignments(self.settings).get("training", {})
            both = [name for name in LENGTHS if name.partition(".")[2] in given]
            if both:
                raise UserError(
                    f"--time and --set {both[0]} contradict each other: give one of them."
                )
        if self.folds is not None and (self.folds < 0 or self.folds == 1):
            raise UserError(f"--folds {self.folds}: give 2 or more, or 0 for no cross-validation.")
        check_options(self.named_method, self.preset, self.settings, device)
        self.how_to_read  # noqa: B018 - raises for invalid values

    @property
    def named_method(self) -> str | None:
        """The method, by ``--method`` or by a setting of its section; None: by the preset, else ``auto``."""
        if self.method is not None or self.preset is not None:
            return self.method
        return next(iter(methods_of(self.settings)), None)

    @property
    def how_to_read(self) -> Reading:
        """How the source is read."""
        return Reading(seed=self.seed, **self.reading)

    @property
    def arguments(self) -> dict[str, Any]:
        """All values that the results depend on, as JSON types."""
        out: dict[str, Any] = {
            "source": str(self.source.resolve()), "labelled": self.labelled, "method": self.method,
            "preset": self.preset, "settings": list(self.settings), "seconds": self.seconds,
            "folds": self.folds, "seed": self.seed,
        }  # fmt: skip
        for key, value in self.reading.items():
            if key == "skip_bad":  # may be added after a refusal
                continue
            out[key] = list(value) if isinstance(value, tuple | list) else value and str(value)
        return out


def methods_of(settings: Sequence[str]) -> list[str]:
    """Return the names of the methods whose options ``settings`` contain.

    A method and a network may share a section. Options of the network do not name the method.
    """
    sections, table = parse_assignments(settings), networks.table()
    return sorted(
        name
        for name in sections.keys() & methods.table().keys()
        if name not in table
        or sections[name].keys() & methods.entry(name).load().Options.model_fields.keys()
    )


def check_folder(output: RunOutput) -> None:
    """Check that the folder is new, empty or an earlier `run`.

    Raises:
        UserError: if it is not.
    """
    folder = output.folder
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another folder with -o.")
    if (folder / ARGUMENTS).is_file() and not (folder / "config.yaml").exists():
        return
    if folder.exists() and not all(is_partial(p) for p in folder.iterdir()):
        raise UserError(
            f"{folder} exists and was not created by 'semiseg run': choose another folder with -o."
        )


def check_arguments(output: RunOutput, request: RunRequest, new_round: bool) -> None:
    """Check that existing results were made with the same arguments.

    A new round may train in another way; the data are prepared as before.

    Raises:
        UserError: if not; the message names the options.
    """
    path = output.folder / ARGUMENTS
    if not path.exists():
        return
    held = read_stored(path, Arguments, "delete it to run again with these arguments").model_dump()
    known = dict.fromkeys((*request.arguments, *held))
    fixed = set(known) if output.started() and not new_round else set()
    if (output.data / "manifest.json").is_file():
        fixed |= set(known) - OF_TRAINING
    other = [
        f"--{'time' if key == 'seconds' else key.replace('_', '-')}"
        for key in known
        if key in fixed and (held.get(key) or None) != (request.arguments.get(key) or None)
    ]
    if other:
        raise UserError(
            f"{output.folder} contains a run with other values of {', '.join(other)}: give the same "
            "values to resume it, or choose another folder with -o."
        )


def store_arguments(output: RunOutput, request: RunRequest) -> None:
    """Write the arguments, which also marks the folder as one of ``semiseg run``."""
    with atomic_output(output.folder / ARGUMENTS) as partial:
        partial.write_text(json.dumps(request.arguments, indent=1) + "\n", encoding="utf-8")
