"""Base class of typed settings, and errors of validation as sentences."""

import math
import re
import reprlib
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=1, le=4096)]
Length = Annotated[float, Field(ge=1e-3, le=1e4)]
LARGEST = 10**9
ORDINARY = re.compile(r"\s*[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*", re.ASCII)
SEEDS = 2**63
"""Seeds are below this number, which all libraries accept."""


def within_bounds(value: Any, largest: int = LARGEST) -> Any:
    """Return ``value`` if its numbers, texts and lists have a possible size; raise ValueError otherwise."""
    if isinstance(value, int | float) and abs(value) > largest:
        raise ValueError(f"must be at most {largest:,}")
    if isinstance(value, str) and (len(value) > 4096 or "\0" in value):
        raise ValueError("must be a text of at most 4,096 characters without NUL")
    if isinstance(value, tuple | list | dict):
        if len(value) > 256:
            raise ValueError("must have at most 256 entries")
        for entry in value.values() if isinstance(value, dict) else value:
            within_bounds(entry, largest)
    return value


def _kinds(annotation: Any) -> set[Any]:
    """The plain types within an annotation; the values of a ``Literal`` are none."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return set()
    if origin is None:
        return {annotation}
    inner = typing.get_args(annotation)
    inner = inner[:1] if origin is Annotated else inner
    return {kind for one in inner for kind in _kinds(one)}


def _is_odd(value: Any) -> bool:
    """Whether a text within ``value`` is a number to Python, but not as numbers are usually written."""
    if isinstance(value, list | tuple):
        return any(_is_odd(entry) for entry in value)
    if not isinstance(value, str) or ORDINARY.fullmatch(value):
        return False
    try:
        return math.isfinite(float(value))  # pydantic says what is wrong with others
    except ValueError:
        return False


def _holds_truth(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_truth(entry) for entry in value)
    return isinstance(value, bool)


class Strict(BaseModel):
    """A section that rejects unknown names, absurd sizes, and empty lists that are not a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _number(cls, value: Any, info: ValidationInfo) -> Any:
        """Reject a truth value where a number belongs, which pydantic takes for 1, and 010 and 1_000."""
        field = cls.model_fields.get(info.field_name or "")
        if field is None:
            return value
        kinds = _kinds(field.annotation)
        if kinds & {int, float} and (
            (bool not in kinds and _holds_truth(value)) or (str not in kinds and _is_odd(value))
        ):
            raise ValueError("must be a number")
        return value

    @field_validator("*")
    @classmethod
    def _possible(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields.get(info.field_name or "")
        if value == () and field is not None and field.default != ():
            raise ValueError("must have at least one entry")
        return within_bounds(value, SEEDS - 1 if info.field_name == "seed" else LARGEST)


WORDING = {
    "tuple_type": "must be a list, such as [1, 2, 3]",
    "too_long": "must have fewer entries",
    "bool_parsing": "must be true or false",
}
"""Replacements for messages of pydantic, by the type of error."""


def shown(value: Any) -> str:
    """A value in a message, shortened: it may be a text, a list or a number of any length."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    try:
        return short.repr(value)
    except ValueError:  # Python does not convert numbers of thousands of digits to text
        return "a number of thousands of digits"


def readable(
    error: ValidationError, origins: Mapping[str, str] | None = None, section: str = ""
) -> str:
    """The first validation error as one sentence; ``section`` is the section that was validated."""
    first = error.errors()[0]
    prefix, location = [section] if section else [], [*first["loc"]]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing" and location and isinstance(location[-1], int):
        location.pop()  # an entry of a list: report the list itself
        message = "must have more entries"
    where = ".".join([*prefix, *(str(part) for part in location)])
    key = ".".join(where.split(".")[:2])  # without positions in a list
    origin = (origins or {}).get(key)
    message = WORDING.get(first["type"], message)
    for tail in (", unable to", ", got a number"):  # the message ends with the value in any case
        message = message.partition(tail)[0]
    message = message.replace("Input should be", "must be")
    if not where:
        return f"{message}."
    separator = " " if message.startswith("must ") else ": "
    given = first.get("input")
    got = "" if isinstance(given, Mapping) else f", got {shown(given)}"
    return f"{where}{separator}{message}{got}{f' (from {origin})' if origin else ''}."
