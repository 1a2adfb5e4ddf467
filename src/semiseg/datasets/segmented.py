"""Labels that name their segments (``NAME.seg.nrrd``): classes are matched by name, not by code.

3D Slicer numbers the segments of every file in the order in which they were made, so that one organ may
have another code in each.
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
    """What labels with named segments say together.

    Attributes:
        classes: background first.
        colours: class code -> ``#rrggbb``.
        tables: label -> (code in the file, class code) each; segments that no class names are background.
    """

    classes: tuple[str, ...]
    colours: Mapping[int, str]
    tables: Mapping[Path, tuple[tuple[int, int], ...]]


def named_segments(labels: Sequence[Path], options: Options) -> Segmented | None:
    """The classes of labels that all name their segments; None where one does not, or codes are given.

    Args:
        labels: their files.
        options: names of classes choose segments, whatever the case of their letters.

    Raises:
        UserError: if some labels name segments and others none, or no class is a segment's name.
    """
    if not labels or options.naming.codes is not None:
        return None
    of_file = {label: read_segments(label) for label in labels}
    named = [label for label, segments in of_file.items() if segments]
    if not named:
        return None
    bare = next((label for label, segments in of_file.items() if not segments), None)
    if bare is not None:
        raise UserError(
            f"{named[0]} names its segments but {bare} does not: export both in one way, or say what the "
            "codes are, such as --classes 1=liver,2=tumour."
        )
    found = dict.fromkeys(one.name for segments in of_file.values() for one in segments)
    classes = with_background(options.classes or sorted(found))
    lower = {name.lower(): code for code, name in enumerate(classes) if code}
    if not {name.lower() for name in found} & lower.keys():
        raise UserError(
            f"--classes {','.join(classes[1:])} names none of the segments ({', '.join(sorted(found))}): "
            "name some of these, or give codes, such as 1=liver."
        )
    colours: dict[int, str] = {}
    tables = {}
    for label, segments in of_file.items():
        tables[label] = tuple((one.code, lower.get(one.name.lower(), 0)) for one in segments)
        for one in segments:
            if one.colour is not None and one.name.lower() in lower:
                colours.setdefault(lower[one.name.lower()], one.colour)
    return Segmented(classes, colours, tables)


def by_name(volume: Volume, table: Sequence[tuple[int, int]], path: Path) -> Volume:
    """The volume with class codes in place of those of its label, which is read from ``path``.

    Raises:
        UserError: for a code that no segment has; ignored voxels have none.
    """
    if volume.label is None:
        return volume
    known = {0: 0, IGNORE_INDEX: IGNORE_INDEX} | dict(table)
    codes = np.zeros(256, np.uint8)
    codes[list(known)] = list(known.values())
    strange = np.setdiff1d(volume.label, list(known))
    if len(strange):
        raise UserError(
            f"{path} holds code {strange[0]}, which none of its segments has: export it again, or say what "
            "the codes are, such as --classes 1=liver,2=tumour."
        )
    return dataclasses.replace(volume, label=codes[volume.label])
