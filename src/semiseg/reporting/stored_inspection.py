"""The inspection of the data that ``semiseg run`` stores, for its page."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from semiseg.stored import read_stored
from semiseg.training.run_output import RunOutput

FACTS = "inspect.json"
REMEDY = "run 'semiseg run' again"


class StoredFinding(BaseModel):
    """One likely error in the data."""

    model_config = ConfigDict(extra="allow", frozen=True)

    level: Literal["serious", "minor"]
    sentence: str


class StoredInspection(BaseModel):
    """The findings in ``inspect.json``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    warnings: tuple[StoredFinding, ...] = ()


def read_findings(output: RunOutput) -> tuple[list[str], int] | None:
    """The serious findings as sentences, and the number of minor ones; None without an inspection.

    Raises:
        UserError: if the file is damaged.
    """
    path = output.inspection / FACTS
    if not path.is_file():
        return None
    found = read_stored(path, StoredInspection, REMEDY).warnings
    serious = [one.sentence for one in found if one.level == "serious"]
    return serious, len(found) - len(serious)
