"""Labels with named segments (``NAME.seg.nrrd``): classes are matched by name, not by code.

3D Slicer numbers the segments of each file in the order of their creation, so the code of an organ may
differ between files.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from semiseg.data.task import IGNORE_INDEX
from semiseg.data.volume import Volume
from semiseg.datasets.base import Options, with_background
from semiseg.errors import UserError
from semiseg.formats.segments import read_segments


@dataclasses.dataclass(frozen=True)
class Segmented:
    """The classes of labels with named segments.

    Attributes:
        classes: names, background first.
        colours: class code -> ``#rrggbb``.
        tables: label -> pairs (code in the file, class code); segments without a class are background.
    """

    classes: tuple[str, ...]
    colours: Mapping[int, str]
    tables: Mapping[Path, tuple[tuple[int, int], ...]]


def named_segments(labels: Sequence[Path], options: Options) -> Segmented | None:
    """The classes of labels with named segments; None if no label names any, or codes are given.

    Args:
        labels: their files.
        options: class names select segments, ignoring case.

    Raises:
        UserError: if only some labels name their segments, or no class is the name of a segment.
    """
    if not labels or options.naming.codes is not None:
        return None
    of_file = {label: read_segments(label) for label in labels}
    named = [label for label, segments in of_file.items() if segments]
    if not named:
        return None
    unnamed = next(
        (label for label, segments in of_file.items() if not segments and _is_whole(label)), None
    )
    if unnamed is not None:
        raise UserError(
            f"{named[0]} names its segments but {unnamed} does not: export both in the same way, or "
            "name the codes, for example --classes 1=liver,2=tumour."
        )
    found = dict.fromkeys(one.name for segments in of_file.values() for one in segments)
    classes = with_background(options.classes or sorted(found))
    lower = {name.lower(): code for code, name in enumerate(classes) if code}
    if not {name.lower() for name in found} & lower.keys():
        raise UserError(
            f"--classes {','.join(classes[1:])} matches no segment ({', '.join(sorted(found))}): "
            "use these names, or give codes, for example 1=liver."
        )
    colours: dict[int, str] = {}
    tables = {}
    for label, segments in of_file.items():
        tables[label] = tuple((one.code, lower.get(one.name.lower(), 0)) for one in segments)
        for one in segments:
            if one.colour is not None and one.name.lower() in lower:
                colours.setdefault(lower[one.name.lower()], one.colour)
    return Segmented(classes, colours, tables)


def _is_whole(label: Path) -> bool:
    """Whether a file begins as its format; what is wrong with another is said when it is read."""
    if not label.name.lower().endswith((".nrrd", ".nhdr")):
        return True
    try:
        with label.open("rb") as file:
            return file.read(4) == b"NRRD"
    except OSError:
        return False


def by_name(volume: Volume, table: Sequence[tuple[int, int]], path: Path) -> Volume:
    """The volume with its label, which was read from ``path``, converted to class codes.

    Raises:
        UserError: for a code without a segment, except that of ignored voxels.
    """
    if volume.label is None:
        return volume
    known = {0: 0, IGNORE_INDEX: IGNORE_INDEX} | dict(table)
    codes = np.zeros(256, np.uint8)
    codes[list(known)] = list(known.values())
    unknown = np.setdiff1d(volume.label, list(known))
    if len(unknown):
        raise UserError(
            f"{path} holds code {unknown[0]}, which none of its segments has: export it again, or name "
            "the codes, for example --classes 1=liver,2=tumour."
        )
    return dataclasses.replace(volume, label=codes[volume.label])
