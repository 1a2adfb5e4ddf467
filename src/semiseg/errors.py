"""Exceptions whose message is shown to the user."""

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator

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
    shown = name if len(name) <= 200 else f"{name[:100]}...{name[-40:]}"
    return UserError(f"Unknown {what} '{shown}': {hint}")


class RunFailure(Exception):  # noqa: N818 - a public name
    """A run that could not continue (exit code 1): one sentence that says what happened."""


OUT_OF_MEMORY = (
    "can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory",
    "cudnn_status_alloc_failed", "cublas_status_alloc_failed", "could not create a memory object",
    "bad_alloc",
)  # fmt: skip
"""What PyTorch, CUDA, oneDNN and C++ say, in lower case, in a ``RuntimeError``."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error says that memory could not be allocated.

    PyTorch raises ``RuntimeError`` on a CPU and ``torch.OutOfMemoryError`` on a GPU; the operating system
    causes an ``OSError``.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in OUT_OF_MEMORY)


def reason_to_skip(error: Exception, name: str, work: str) -> str:
    """Why a case is skipped, in one sentence, for a work such as 'predict it'.

    Raises:
        Exception: ``error`` itself, if it is neither of the user nor a lack of memory.
    """
    if is_out_of_memory(error):
        return f"{name}: not enough memory (CPU or GPU) to {work}."
    if isinstance(error, UserError):
        return str(error)
    raise error


@contextlib.contextmanager
def memory_for(name: str, work: str) -> Iterator[None]:
    """Name the case for which the memory does not suffice, and the work, such as 'score it'.

    Raises:
        RunFailure: if it does not.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise RunFailure(
            f"{name}: not enough memory (CPU or GPU) to {work}: end other programs, choose another "
            "--device, or use a larger machine."
        ) from error
