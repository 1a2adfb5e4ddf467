"""The content of a ``benchmark.json``: the plan of a benchmark."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from semiseg.digests import LENGTH
from semiseg.errors import UserError
from semiseg.files import inside
from semiseg.stored import read_stored

PLAN = "benchmark.json"
REMEDY = "restore it, or choose another -o"


Digest = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{LENGTH}}}$")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StoredVariant(BaseModel):
    """One row of a benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    method: str
    sections: dict[str, Any] = {}

    @field_validator("sections")
    @classmethod
    def _own_seed(cls, sections: dict[str, Any]) -> dict[str, Any]:
        """Refuse a seed that would take precedence over the seeds of the runs."""
        training = sections.get("training")
        if isinstance(training, dict) and "seed" in training:
            raise ValueError("must not set training.seed")
        return sections


class StoredRun(BaseModel):
    """One training; ``folder`` is relative to the benchmark's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: StoredVariant
    labelled: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    folder: str


class StoredSettings(BaseModel):
    """The settings of all runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    preset: str | None
    settings: tuple[str, ...]
    on: Literal["validation", "test"]
    protocol: str | None
    weights: Literal["best", "last"]
    time: Seconds | None = None
    seconds: Seconds | None = None


class StoredPlan(BaseModel):
    """The content of the file; ``files``: the SHA-256 of each list of patients or preset in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: StoredSettings
    runs: tuple[StoredRun, ...]
    files: dict[str, Digest] = {}


def evaluation_name(on: str, network: str, weights: str) -> str:
    """The folder of an evaluation within its run, as `semiseg evaluate` names it."""
    return f"evaluation/{on}-{network}" + (f"-{weights}" if weights != "best" else "")


def read_plan(folder: Path) -> StoredPlan:
    """Read the plan of the benchmark in ``folder``.

    Raises:
        UserError: if the file is damaged, has a wrong value, names a run's folder twice, or names one
            that is not in ``folder/runs``.
    """
    path = folder / PLAN
    stored = read_stored(path, StoredPlan, REMEDY)
    names = [run.folder for run in stored.runs]
    for name in names:
        if inside(folder, name, path).resolve().parent != (folder / "runs").resolve():
            raise UserError(f"{path} names '{name}', which is not in {folder / 'runs'}: {REMEDY}.")
        if names.count(name) > 1:
            raise UserError(f"{path} names '{name}' twice: {REMEDY}.")
    return stored
