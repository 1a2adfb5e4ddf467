"""Checks of the cases of a source, for all layouts."""

import os
from collections import Counter
from pathlib import Path

from semiseg.data.identifiers import flaw_of, identifier_key
from semiseg.datasets.base import Scan, folder_of
from semiseg.datasets.unread import unread_labels
from semiseg.errors import UserError
from semiseg.formats import suffix_of
from semiseg.text import plural


def check_cases(scan: Scan, source: Path) -> None:
    """Check that the cases of a source can form a data set.

    Raises:
        UserError: if there are no cases or no labels, if two identifiers are equal or look equal, if
            an identifier cannot be a file name, or if a file is outside of the source.
    """
    if not scan.cases:
        raise UserError(f"{source} holds no image of this layout: check the path or --layout.")
    _check_names(scan, source)
    for case in scan.cases:
        for path in case.files:
            _check_inside(path, folder_of(source))
    if not any(case.has_label for case in scan.cases):
        raise UserError(
            f"{source} has {plural(len(scan.cases), 'image')} but no label: add at least one, "
            f"named like its image, in a folder 'labels' (or 'masks'){_instead(scan, source)}."
        )


def _instead(scan: Scan, source: Path) -> str:
    """What the source holds instead of labels, as the end of a sentence."""
    if unread := unread_labels(scan, source):
        return f"; {unread}"
    lists = sorted(source.glob("*.csv")) if source.is_dir() else []
    if not lists:
        return ""
    return f"; if {lists[0].name} lists the images and labels, give that file instead of the folder"


def _check_names(scan: Scan, source: Path) -> None:
    seen: dict[str, str] = {}
    alike: dict[str, str] = {}
    for case in scan.cases:
        other = seen.setdefault(case.identifier, case.source)
        if other != case.source:
            two_folders = Path(other).parent != Path(case.source).parent
            mask = " (put masks into a folder 'masks' next to 'images')" if two_folders else ""
            suffix = suffix_of(Path(case.source))
            if not two_folders and suffix_of(Path(other)) != suffix:
                mask = f", or, if one is the label of the other, use --labels {suffix}"
            raise UserError(
                f"{source}: {other} and {case.source} have the same identifier "
                f"'{case.identifier}': rename one of them, or list the images in a CSV{mask}."
            )
        flaw = flaw_of(case.identifier)
        if flaw is not None:
            raise UserError(f"{source}: the name of {_short(case.source)} {flaw}: rename the file.")
        same = alike.setdefault(identifier_key(case.identifier), case.identifier)
        if same != case.identifier:
            raise UserError(
                f"{source}: the names '{same}' and '{case.identifier}' are identical on some "
                "systems: rename one of them."
            )
        if any("\ud800" <= c <= "\udfff" for c in f"{case.source}{case.patient}"):
            raise UserError(f"{source}: the name of {_short(case.source)} is not UTF-8: rename it.")
    if len(seen) < len(scan.cases):
        twice = next(name for name, n in Counter(c.identifier for c in scan.cases).items() if n > 1)
        raise UserError(f"{source}: '{twice}' is listed twice: name each image once.")


def _check_inside(path: Path, source: Path) -> None:
    """Check the path without resolving links, because users may link files into the source."""
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(source)):
        raise UserError(f"{path} is outside of {source}: name only files of the source.")


def _short(name: str) -> str:
    return name if len(name) <= 100 else f"{name[:60]}...{name[-30:]}"
