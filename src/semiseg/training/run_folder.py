"""The folder of a run.

::

    RUN/config.yaml       the resolved configuration
    RUN/run.json          data, origins of values, command, environment, git state
    RUN/task.json         the task
    RUN/split.json        the patients of each part
    RUN/metrics.csv       loss terms and learning rates; validation.csv, log.jsonl, gradients.csv
    RUN/weights/          best.safetensors, last.safetensors
    RUN/checkpoints/      read by --resume
    RUN/finished.json     result, written when the training ends
"""

import contextlib
import json
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from semiseg import __version__, methods, networks
from semiseg.config import SECTIONS, RunConfig
from semiseg.data.manifest import Split
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.files import atomic_write, check_file, check_links
from semiseg.locking import locked, remove_partials_below
from semiseg.stored import read_stored, text_of
from semiseg.strict import readable
from semiseg.training.run_files import PATTERNS, Finished, RunFacts
from semiseg.yaml_text import parse_yaml, write_yaml

FORMAT = 2  # stored in config.yaml; folders of another format raise
REMEDY = "restore it or train again"


class RunSplit(BaseModel):
    """The patients of a run's parts, and the labelled ones among those for training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Split
    labelled: tuple[str, ...]
    budget: str = "all"
    validation_from_training: bool = False


class RunFolder:
    """The paths of a run, with reading and writing of its metadata."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.weights = self.folder / "weights"

    def exists(self) -> bool:
        """Return whether the folder contains a run."""
        return (self.folder / "config.yaml").is_file()

    def create(self, config: RunConfig, task: Task, split: RunSplit, facts: dict[str, Any]) -> None:
        """Write the metadata that is known before the first step; ``config.yaml`` comes last."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.write_json("run.json", facts | environment())
            self.write_json("task.json", task.model_dump(mode="json"))
            self.write_json("split.json", split.model_dump(mode="json"))
            content = {"format": FORMAT, **to_file_form(config)}
            self._write("config.yaml", write_yaml(content))
        except OSError as error:
            raise UserError(
                f"{self.folder} cannot be written ({error.strerror}): choose another folder with -o."
            ) from error

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder during training, so that only one process writes to it.

        Temporary files of killed processes are removed.

        Raises:
            UserError: if another process holds the lock, a link leads out of the folder, or a folder is
                where the run has a file.
        """
        with locked(self.folder, "training"):
            check_links(self.folder, "replace the link by the files that it leads to")
            for path in (path for pattern in PATTERNS for path in self.folder.glob(pattern)):
                if (
                    path.is_dir()
                ):  # neither replaced nor deleted, and noticed only when it is written
                    check_file(path, "move it out of the run")
            remove_partials_below(self.folder)
            yield

    def config(self) -> RunConfig:
        """The resolved configuration.

        Raises:
            UserError: if the folder is not a run, or ``config.yaml`` is damaged or has a wrong value.
        """
        path = self.folder / "config.yaml"
        if not path.is_file():
            raise UserError(
                f"{self.folder} is not a run (it has no config.yaml): give a folder that "
                "'semiseg train' or 'semiseg run' wrote."
            )
        text = text_of(path, REMEDY)
        if not text.strip():
            raise UserError(f"{path} is empty: {REMEDY}.")
        try:
            content = dict(parse_yaml(text))
            if content.pop("format", 1) != FORMAT:
                raise UserError(
                    f"{self.folder} was written by another version of semiseg: train again."
                )
            config = from_file_form(content)
        except ValidationError as error:
            raise UserError(f"{path}: {readable(error).removesuffix('.')}: {REMEDY}.") from None
        except (AttributeError, TypeError, ValueError, LookupError):
            raise UserError(f"{path} is not a readable configuration of a run: {REMEDY}.") from None
        _check_sections(config, path)
        return config

    def task(self) -> Task:
        """The task that the run was trained for."""
        return read_stored(self.folder / "task.json", Task, REMEDY)

    def split(self) -> RunSplit:
        """The patients of each part."""
        return read_stored(self.folder / "split.json", RunSplit, REMEDY)

    def facts(self) -> RunFacts:
        """The data, the origins of values, and the environment."""
        return read_stored(self.folder / "run.json", RunFacts, REMEDY)

    def finished(self) -> Finished | None:
        """Return the result of the run, or None if it is not finished."""
        path = self.folder / "finished.json"
        return read_stored(path, Finished, REMEDY) if path.exists() else None

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file atomically."""
        self._write(name, json.dumps(content, indent=1) + "\n")

    def _write(self, name: str, text: str) -> None:
        with atomic_write(self.folder / name) as partial:
            partial.write_text(text, encoding="utf-8")


def steps_of(config: RunConfig, ended: Finished | None) -> int:
    """The number of steps of a run; with a time limit it is known when the run has ended."""
    planned = config.training.iterations
    return planned if config.training.seconds is None or ended is None else ended.iterations


def to_file_form(config: RunConfig) -> dict[str, Any]:
    """Convert a configuration to its form in files, with options under the method's name."""
    content = config.model_dump(mode="json")
    options, sections = content.pop("options"), content.pop("networks")
    # a method and a network of one name share a section
    options = sections.get(config.method, {}) | options
    return {
        "method": config.method,
        "preset": config.preset,
        **{section: content[section] for section in SECTIONS},
        **sections,
        config.method: options,
    }


def from_file_form(content: dict[str, Any]) -> RunConfig:
    """The inverse of `to_file_form`."""
    content = dict(content)
    method, sections = content["method"], {}
    options = content.pop(method, {})
    if method in networks.table():
        fields, both = networks.entry(method).config().model_fields, dict(options)
        of_network = {key: value for key, value in both.items() if key in fields}
        if of_network:  # else the method does not train the network of its name
            sections[method] = of_network
        options = {key: value for key, value in both.items() if key not in fields}
    used = [name for name in networks.table() if name in content]
    sections |= {name: content.pop(name) for name in used}
    return RunConfig.model_validate({**content, "networks": sections, "options": options})


def _check_sections(config: RunConfig, path: Path) -> None:
    """Validate the sections of the method and of its networks, if these are installed.

    Raises:
        UserError: naming the option with a wrong value.
    """
    section = config.method
    try:
        if config.method in methods.table():
            methods.entry(config.method).load().Options.model_validate(config.options)
        for section, values in config.networks.items():
            networks.entry(section).config().model_validate(values)
    except ValidationError as error:
        reason = readable(error, section=section).removesuffix(".")
        raise UserError(f"{path}: {reason}: {REMEDY}.") from None


def environment() -> dict[str, Any]:
    """Return versions and git state, so that results can be traced to the code."""
    import numpy
    import torch

    return {
        "semiseg": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "git": _git(),
    }


def _git() -> str | None:
    """Return the commit of an editable install, with '-dirty' if modified; None otherwise."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
