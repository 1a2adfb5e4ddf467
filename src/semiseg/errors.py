"""Exceptions whose message is shown to the user."""

import difflib
from collections.abc import Iterable

from semiseg.text import one_line


class UserError(Exception):
    """Invalid input (exit code 2): one sentence that names the file or option and the remedy."""

    def __init__(self, sentence: str) -> None:
        super().__init__(one_line(sentence))


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error for an unknown ``name``; it suggests the closest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(names)}."
    return UserError(f"Unknown {what} '{name}': {hint}")


class RunFailure(Exception):  # noqa: N818 - a public name
    """A run that could not continue (exit code 1): one sentence that says what happened."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be allocated.

    PyTorch raises ``RuntimeError`` on a CPU and ``torch.OutOfMemoryError`` on a GPU.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "not enough memory" in text
    )
