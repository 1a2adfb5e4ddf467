"""A run is a folder that explains itself.

::

    RUN/config.yaml       the resolved configuration
    RUN/run.json          data, origins of values, the command, environment, git state
    RUN/task.json         the task, RUN/split.json the patients of each part
    RUN/metrics.csv       loss terms and rates; validation.csv, log.jsonl, gradients.csv
    RUN/weights/          best.safetensors, last.safetensors
    RUN/checkpoints/      what --resume reads
    RUN/finished.json     written last
"""

import contextlib
import json
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from semiseg import __version__, networks
from semiseg.config import SECTIONS, RunConfig, readable
from semiseg.data.manifest import Split
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.files import atomic_write

FORMAT = 2  # of the folder, in config.yaml; folders of another format are refused


class RunSplit(BaseModel):
    """Who is who in a run: patients, with the labelled ones among those for training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Split
    labelled: tuple[str, ...]
    budget: str = "all"
    validation_from_training: bool = False


class RunFolder:
    """Paths, and reading and writing of what explains a run."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.weights = self.folder / "weights"

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.folder / "config.yaml").is_file()

    def create(self, config: RunConfig, task: Task, split: RunSplit, facts: dict[str, Any]) -> None:
        """Write everything that is known before the first step; ``config.yaml`` comes last."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.write_json("run.json", facts | environment())
            self.write_json("task.json", task.model_dump(mode="json"))
            self.write_json("split.json", split.model_dump(mode="json"))
            content = {"format": FORMAT, **to_file_form(config)}
            self._write("config.yaml", yaml.safe_dump(content, sort_keys=False))
        except OSError as error:
            raise UserError(
                f"{self.folder} cannot be written ({error.strerror}): choose another folder with -o."
            ) from error

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder while training into it: two processes would spoil each other's files.

        Raises:
            UserError: where another process holds it.
        """
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise UserError(
                f"{self.folder} is being trained by another process: wait for it, or take another -o."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def config(self) -> RunConfig:
        """The resolved configuration."""
        path = self.folder / "config.yaml"
        if not path.is_file():
            raise UserError(
                f"{self.folder} is no run (it has no config.yaml): give a folder that "
                "'semiseg train' wrote."
            )
        try:
            content = dict(yaml.safe_load(path.read_text(encoding="utf-8")))
            if content.pop("format", 1) != FORMAT:
                raise UserError(
                    f"{self.folder} was written by another version of semiseg: train again."
                )
            return from_file_form(content)
        except ValidationError as error:
            raise UserError(f"{path}: {readable(error)}") from None
        except (yaml.YAMLError, AttributeError, TypeError, ValueError):
            raise UserError(f"{path} cannot be read as a run's configuration.") from None

    def task(self) -> Task:
        """The task that the run was trained for."""
        return Task.model_validate(self.read_json("task.json"))

    def split(self) -> RunSplit:
        """The patients of each part."""
        return RunSplit.model_validate(self.read_json("split.json"))

    def finished(self) -> dict[str, Any] | None:
        """What the run ended with, or None while it has not."""
        if not (self.folder / "finished.json").is_file():
            return None
        return self.read_json("finished.json")

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the run's JSON files; raises `UserError` where it is missing or damaged."""
        path = self.folder / name
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(f"{path} is missing or damaged.") from None
        return content

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file so that a half-written one is never seen."""
        self._write(name, json.dumps(content, indent=1) + "\n")

    def _write(self, name: str, text: str) -> None:
        with atomic_write(self.folder / name) as partial:
            partial.write_text(text, encoding="utf-8")


def to_file_form(config: RunConfig) -> dict[str, Any]:
    """The configuration with the method's options under the method's own name, as ``--set`` says."""
    content = config.model_dump(mode="json")
    options, sections = content.pop("options"), content.pop("networks")
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
    options = content.pop(content["method"], {})
    used = [name for name in networks.table() if name in content]
    sections = {name: content.pop(name) for name in used}
    return RunConfig.model_validate({**content, "networks": sections, "options": options})


def environment() -> dict[str, Any]:
    """Versions and git state, so that a number can be traced to what produced it."""
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
    """The commit of an editable install, with '-dirty' where it was changed; None elsewhere."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
