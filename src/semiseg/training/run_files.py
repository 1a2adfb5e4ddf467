"""The content of a run's ``run.json`` and ``finished.json``, and the names of all files of a run."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from semiseg.data.image_ranges import ImageRanges

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

PATTERNS = (
    "run.json", "task.json", "split.json", "config.yaml", "finished.json", "metrics.csv",
    "validation.csv", "gradients.csv", "log.jsonl", "error.txt", "report.html",
    "weights/*.safetensors", "checkpoints/step-*.pt", "tensorboard/events.out.*",
    "tensorboard/hparams.yaml", "evaluation/*/cases.csv", "evaluation/*/summary.json",
)  # fmt: skip
"""The files of a run, as patterns. Nothing else in a run's folder is ever deleted."""


class RunFacts(BaseModel):
    """The content of ``run.json``: what a run was made from and with.

    ``world_size``: number of processes, at last; ``changes``: what differed when the training was resumed;
    ``identity``: that of the data (`semiseg.data.identity`), empty in runs of earlier versions.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    data: str
    identity: dict[str, str] = {}
    command: str = ""
    origins: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    device: str | None = None
    threads: Count | None = None
    world_size: Annotated[int, Field(ge=1)] = 1
    changes: tuple[str, ...] = ()
    semiseg: str = ""
    python: str = ""
    torch: str = ""
    numpy: str = ""
    platform: str = ""
    git: str | None = None
    training_images: ImageRanges | None = None


class Finished(BaseModel):
    """The content of ``finished.json``: the result of a finished training.

    ``remarks``: what happened in it (`semiseg.methods.base.Method.remarks`).
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    iterations: Count
    best_step: Count
    best_dice: Annotated[float, Field(allow_inf_nan=False)] | None
    seconds: Seconds
    remarks: tuple[str, ...] = ()
