"""Files that the user gives to a benchmark: lists of patients and a preset.

All runs must have read the same content, whenever they are added. The rows of a study are in the plan
itself, so its file may change.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from semiseg.digests import file_digest
from semiseg.errors import UserError
from semiseg.files import is_file
from semiseg.text import joined


def digests_of(words: Iterable[str | None]) -> dict[str, str]:
    """The SHA-256 of each of ``words`` that is the path of a file.

    Raises:
        UserError: for a file that cannot be read.
    """
    paths = [
        word for word in words if word is not None and Path(word).is_absolute() and is_file(word)
    ]
    return {path: _digest(path) for path in dict.fromkeys(paths)}


def check_unchanged(known: Mapping[str, str], words: Iterable[str | None]) -> None:
    """Check that the files among ``words`` have the content that earlier runs have read.

    Args:
        known: the digest of each file, by its path.
        words: budgets and presets; those that are not in ``known`` are not files.

    Raises:
        UserError: naming the first file that is missing or has changed.
    """
    for word in dict.fromkeys(words):
        if word is None or word not in known:
            continue
        if not Path(word).is_file():
            raise UserError(f"{word}, which the benchmark was given, is missing: restore it.")
        if _digest(word) != known[word]:
            raise UserError(
                f"{word} has changed since it was given to the benchmark, so the results would not be "
                "comparable: restore it, or choose another -o."
            )


def refuse_other_data(data: str, changes: Sequence[str]) -> None:
    """Raise `UserError` if there are ``changes`` of the prepared data since runs were trained on them."""
    if changes:
        raise UserError(
            f"{data} was prepared again since the benchmark began ({joined(list(changes))} changed), so the "
            "results would not be comparable: restore the data, or choose another -o."
        )


def _digest(path: str) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the file.") from None
