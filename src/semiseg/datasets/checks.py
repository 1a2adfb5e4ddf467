"""What every source must be, whatever its layout."""

import os
from collections import Counter
from pathlib import Path

from semiseg.data.identifiers import flaw_of, look
from semiseg.datasets.base import Scan, folder_of
from semiseg.errors import UserError
from semiseg.text import plural


def check_cases(scan: Scan, source: Path) -> None:
    """Refuse cases that cannot become one data set.

    Raises:
        UserError: if there is none, none has a label, two have (or look as if they had) one
            identifier, an identifier cannot name files, or a file lies outside of the source.
    """
    if not scan.cases:
        raise UserError(f"{source} holds no image of this layout: check the path or --layout.")
    _check_names(scan, source)
    for case in scan.cases:
        for path in case.files:
            _check_inside(path, folder_of(source))
    if not any(case.has_label for case in scan.cases):
        raise UserError(
            f"{source} has {plural(len(scan.cases), 'image')} but no label at all: add at least one, "
            "named like its image, in a folder 'labels' (or 'masks')."
        )


def _check_names(scan: Scan, source: Path) -> None:
    seen: dict[str, str] = {}
    alike: dict[str, str] = {}
    for case in scan.cases:
        other = seen.setdefault(case.identifier, case.source)
        if other != case.source:
            apart = Path(other).parent != Path(case.source).parent
            mask = " (a mask belongs into a folder 'masks', beside 'images')" if apart else ""
            raise UserError(
                f"{source}: {other} and {case.source} have the same identifier "
                f"'{case.identifier}': rename one of them, or list the images in a CSV{mask}."
            )
        flaw = flaw_of(case.identifier)
        if flaw is not None:
            raise UserError(f"{source}: the name of {_short(case.source)} {flaw}: rename the file.")
        same = alike.setdefault(look(case.identifier), case.identifier)
        if same != case.identifier:
            raise UserError(
                f"{source}: the names '{same}' and '{case.identifier}' are one and the same on some "
                "systems: rename one of them."
            )
        if any("\ud800" <= c <= "\udfff" for c in f"{case.source}{case.patient}"):
            raise UserError(f"{source}: the name of {_short(case.source)} is no UTF-8: rename it.")
    if len(seen) < len(scan.cases):
        twice = next(name for name, n in Counter(c.identifier for c in scan.cases).items() if n > 1)
        raise UserError(f"{source}: '{twice}' is listed twice: name each image once.")


def _check_inside(path: Path, source: Path) -> None:
    """By its name only: a file that somebody linked into the source is theirs to link."""
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(source)):
        raise UserError(f"{path} lies outside of {source}: name files of the source only.")


def _short(name: str) -> str:
    return name if len(name) <= 100 else f"{name[:60]}...{name[-30:]}"
