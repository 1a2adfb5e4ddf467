"""The content of a ``summary.json``, for reading."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from semiseg.stored import read_stored

REMEDY = "restore it, or evaluate again with --overwrite"
Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class StoredMean(BaseModel):
    """One metric's mean."""

    model_config = ConfigDict(extra="allow", frozen=True)

    mean: Finite | None
    deviation: Finite | None
    count: Count
    interval: tuple[Finite, Finite] | None = None


class StatusCounts(BaseModel):
    """The number of cases of each status."""

    model_config = ConfigDict(extra="allow", frozen=True)

    ok: Count
    missing: Count
    spurious: Count
    absent: Count


class StoredClass(BaseModel):
    """One class; the metrics are further fields."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, StoredMean]

    code: Count
    cases: StatusCounts


class Origin(BaseModel):
    """What was scored; empty for the scores of masks."""

    model_config = ConfigDict(extra="allow", frozen=True)

    run: str | None = None
    data: str | None = None
    part: str | None = None
    network: str | None = None
    weights: str | None = None
    flips: bool | None = None


class StoredSummary(BaseModel):
    """The content of a ``summary.json``, written by `semiseg.evaluation.summary.write_json`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    of: Origin = Origin()
    protocol: str
    units: str
    hd95_definition: str
    asd_definition: str
    missing_rule: str
    scored_at: str
    cases: Count
    failed: dict[str, str] = {}
    predictions_without_reference: tuple[str, ...] = ()
    references_without_prediction: tuple[str, ...] = ()
    classes: dict[str, StoredClass]
    mean_over_classes: dict[str, StoredMean]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name, own in self.classes.items():
            lacking = self.mean_over_classes.keys() - own.__pydantic_extra__.keys()
            if lacking:
                raise ValueError(f"classes.{name} has no {min(lacking)}")
        return self


def read_summary(path: Path) -> dict[str, Any]:
    """Read and validate a ``summary.json``.

    Raises:
        UserError: naming the file and the field, if it is damaged or has a wrong value.
    """
    summary = read_stored(path, StoredSummary, REMEDY).model_dump()
    summary["of"] = {key: value for key, value in summary["of"].items() if value is not None}
    return summary
