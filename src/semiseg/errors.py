"""The one exception that a person is meant to read."""

import difflib
from collections.abc import Iterable

from semiseg.text import one_line


class UserError(Exception):
    """Wrong input: one sentence that names the file or option and says what to do (exit code 2)."""

    def __init__(self, sentence: str) -> None:
        super().__init__(one_line(sentence))


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """An error for an unknown ``name``, with the nearest known one suggested."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(names)}."
    return UserError(f"Unknown {what} '{name}': {hint}")


class RunFailure(Exception):  # noqa: N818 - a failure of a run, as the field says
    """A run that could not go on: one sentence that says what happened (exit code 1)."""
