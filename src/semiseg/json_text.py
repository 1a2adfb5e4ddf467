"""Parsing of JSON files that a user wrote."""

import json
from typing import Any


def parse_json(text: str) -> Any:
    """Parse JSON; unlike `json.loads`, refuse a name that occurs twice in one object.

    Raises:
        TwiceError: if an object has a name twice.
        ValueError: if ``text`` is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class TwiceError(ValueError):
    """A name occurs twice, of which only the last would count."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise TwiceError(f"'{name[:60]}' occurs twice")
        found[name] = value
    return found
