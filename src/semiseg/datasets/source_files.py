"""Listing of the files of a source."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from semiseg.files import is_special, walk_files

OUTPUTS = (
    ("run.json", "round.json"), ("run.json", "config.yaml"), ("manifest.json", "records.jsonl"),
)  # fmt: skip
"""Files by which an output of `run`, `train` or `prepare` is recognised."""

OfKind = Callable[[Path], bool]
"""Whether a file is of a certain kind, such as `semiseg.formats.is_volume`."""


def files_of(folder: Path, of_kind: OfKind) -> list[Path]:
    """Files below ``folder`` for which ``of_kind`` is true, sorted, without hidden ones."""
    return list(_walk(folder, of_kind))


def any_of(folder: Path, of_kind: OfKind) -> Path | None:
    """The first file of :func:`files_of`, without listing the others."""
    return next(_walk(folder, of_kind), None)


def special_files(folder: Path) -> list[Path]:
    """Pipes, sockets and devices below ``folder``, sorted; links to them too."""
    found = []
    for root, _, names in os.walk(folder):
        found += [path for name in names if is_special(path := Path(root, name))]
    return sorted(found)


def _walk(folder: Path, of_kind: OfKind) -> Iterator[Path]:
    """The files of :func:`semiseg.files.walk_files` that are of a kind, without outputs of commands.

    Raises:
        UserError: for a folder that cannot be read, or a link to a folder outside the source.
    """
    known: dict[Path, bool] = {folder: False}
    for path in walk_files(folder):
        if of_kind(Path(path.name)) and not _is_output(path.parent, known):
            yield path


def _is_output(folder: Path, known: dict[Path, bool]) -> bool:
    """Whether a folder is in the output of a command, which is no part of a source."""
    if folder not in known:
        own = any(all((folder / n).is_file() for n in names) for names in OUTPUTS)
        known[folder] = own or _is_output(folder.parent, known)
    return known[folder]
